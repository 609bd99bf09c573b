package layers

import (
	"bufio"
	"fmt"
	"strconv"
	"strings"
)

// A house is layers.txt, read.
type house struct {
	row     map[string]int      // package → row
	support map[string]bool     // packages of "tests" lines
	only    map[string][]string // library → packages that may import it
	apart   []apart
	writes  map[string]string // package.function → why
}

// An apart line: no package but those in by reaches both a and b.
type apart struct {
	a, b string
	by   map[string]bool
}

// readHouse parses the table's text; its errors name the line.
func readHouse(text string) (house, error) {
	h := house{row: map[string]int{}, support: map[string]bool{}, only: map[string][]string{}, writes: map[string]string{}}
	lines := bufio.NewScanner(strings.NewReader(text))
	for n := 1; lines.Scan(); n++ {
		words := strings.Fields(lines.Text())
		if len(words) == 0 || words[0][0] == '#' {
			continue
		}
		if err := h.line(words[0], words[1:]); err != nil {
			return house{}, fmt.Errorf("layers.txt:%d: %w", n, err)
		}
	}
	return h, lines.Err()
}

func (h *house) line(word string, args []string) error {
	switch {
	case word == "row" && len(args) > 1:
		return h.addRow(args[0], args[1:])
	case word == "tests" && len(args) > 0:
		for _, p := range args {
			h.support[p] = true
		}
	case word == "only" && len(args) > 1:
		h.only[args[0]] = args[1:]
	case word == "apart" && len(args) > 3 && args[2] == "by":
		h.apart = append(h.apart, apart{args[0], args[1], set(args[3:])})
	case word == "writes" && len(args) > 1:
		h.writes[args[0]] = strings.Join(args[1:], " ")
	default:
		return fmt.Errorf("cannot read %q with %d words after it; the head of the file says what a line may be", word, len(args))
	}
	return nil
}

func (h *house) addRow(number string, packages []string) error {
	n, err := strconv.Atoi(number)
	if err != nil {
		return fmt.Errorf("row %q is not a number", number)
	}
	for _, p := range packages {
		if _, twice := h.row[p]; twice {
			return fmt.Errorf("%s stands in the table twice", p)
		}
		h.row[p] = n
	}
	return nil
}

func set(words []string) map[string]bool {
	s := map[string]bool{}
	for _, w := range words {
		s[w] = true
	}
	return s
}

// covers reports whether a package matches a word of the table: itself, or
// anything below "x/...".
func covers(pattern, p string) bool {
	if dir, ok := strings.CutSuffix(pattern, "/..."); ok {
		return strings.HasPrefix(p, dir+"/")
	}
	return pattern == p
}
