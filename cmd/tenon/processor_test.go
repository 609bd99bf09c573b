package main

import (
	"strings"
	"testing"
)

// TestProcessor: what tells two processors apart is in the name, and what a
// kernel may list differently tomorrow is not.
func TestProcessor(t *testing.T) {
	for name, c := range map[string]struct{ file, want string }{
		"x86": {
			"processor\t: 0\nmodel name\t: Intel(R)  Xeon(R) CPU\ncpu MHz\t: 2600.1\nflags\t\t: fpu avx2 sse4_1 avx fma ibrs\n\n" +
				"processor\t: 1\nmodel name\t: another\nflags\t\t: amx_tile\n",
			"Intel(R) Xeon(R) CPU (avx avx2 fma sse4_1)",
		},
		"arm64": {
			"processor\t: 0\nBogoMIPS\t: 243\nFeatures\t: fp asimd asimddp i8mm\nCPU implementer\t: 0x41\nCPU part\t: 0xd40\n",
			"implementer 0x41 part 0xd40 (asimddp i8mm)",
		},
		"no features": {"model name: x\n", "x"},
		"nothing":     {"", ""},
	} {
		if got := describeProcessor(strings.NewReader(c.file)); got != c.want {
			t.Errorf("%s: %q, want %q", name, got, c.want)
		}
	}
	if once := processor(); !strings.Contains(once, "/") || once != processor() {
		t.Errorf("%q", once)
	}
}
