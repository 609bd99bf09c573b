package main

import (
	"bufio"
	"io"
	"os"
	"runtime"
	"slices"
	"strings"
)

// processor names the processor by what a library for linear algebra chooses
// its code by: two that have one name compute the same digits.
func processor() string {
	name := runtime.GOOS + "/" + runtime.GOARCH
	f, err := os.Open("/proc/cpuinfo")
	if err != nil {
		return name // macOS has no such file; its processors differ by architecture
	}
	defer f.Close()
	if more := describeProcessor(f); more != "" {
		name += ", " + more
	}
	return name
}

// telling are the features that ONNX Runtime has code of its own for. The
// kernel lists many more, and other ones from release to release.
var telling = []string{
	"sse4_1", "avx", "avx2", "fma", "f16c", "avx512f", "avx512bw", "avx512_vnni", "avx512_bf16", "avx_vnni", "amx_tile", "amx_int8", "amx_bf16",
	"asimddp", "asimdhp", "i8mm", "bf16", "sve", "sve2",
}

// describeProcessor reads the first processor of /proc/cpuinfo.
func describeProcessor(r io.Reader) string {
	said := map[string]string{}
	lines := bufio.NewScanner(r)
	for lines.Scan() {
		key, value, ok := strings.Cut(lines.Text(), ":")
		if key = strings.TrimSpace(key); !ok || said[key] != "" {
			continue
		}
		said[key] = strings.Join(strings.Fields(value), " ")
	}
	model := said["model name"]
	if model == "" && said["CPU part"] != "" { // arm64 gives numbers
		model = "implementer " + said["CPU implementer"] + " part " + said["CPU part"]
	}
	var features []string
	for _, f := range strings.Fields(said["flags"] + " " + said["Features"]) {
		if slices.Contains(telling, f) && !slices.Contains(features, f) {
			features = append(features, f)
		}
	}
	slices.Sort(features)
	if len(features) > 0 {
		model += " (" + strings.Join(features, " ") + ")"
	}
	return strings.TrimSpace(model)
}
