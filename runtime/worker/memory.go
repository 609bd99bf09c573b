package worker

// memory is a stretch that two processes share and one of them writes. On
// systems without such memory it is empty, and everything travels in frames.
type memory []byte

const (
	// memoryBytes is the size of a stretch; only what was used of it is memory.
	memoryBytes = 1 << 30
	// keepMemory stays when a run has ended; the rest goes back to the system.
	keepMemory = 4 << 20
	// page is the boundary on which every tensor begins.
	page = 4096
)

// trim gives back what a run used up to end, but for what is kept.
func (m memory) trim(end int) {
	if end > keepMemory {
		m.discard(keepMemory, (end+page-1)/page*page)
	}
}
