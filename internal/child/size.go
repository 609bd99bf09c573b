package child

import "os"

// ModelBytes is the size of a model for LimitSelf: that of all files in its
// folder, because weights may lie beside the graph. A folder that cannot be read
// has none, and the load will say why.
func ModelBytes(folder string) int64 {
	entries, err := os.ReadDir(folder)
	if err != nil {
		return 0
	}
	total := int64(0)
	for _, e := range entries {
		if info, err := e.Info(); err == nil && info.Mode().IsRegular() {
			total += info.Size()
		}
	}
	return total
}
