package divergence

import (
	"cmp"
	"slices"

	"github.com/tenon-ml/tenon/api/wire"
)

// How many pairs of labels are watched, and how many are told.
const (
	watchedChanges = 256
	toldChanges    = 20
)

// change is a label that became another one.
type change struct{ from, to string }

// changes counts the most frequent changes in bounded memory (Metwally's
// space-saving): a new one takes the place of the rarest. What is told is what
// was certainly seen.
type changes struct {
	index map[change]int
	list  []counted

	least int // no count is smaller
	next  int // where the search for one that small goes on
}

// counted is a change with its count, of which up to doubt may be those of
// others, whose place it took.
type counted struct {
	change
	count, doubt int
}

func (c *changes) add(pair change) {
	if i, ok := c.index[pair]; ok {
		c.list[i].count++
		return
	}
	if c.index == nil {
		c.index = map[change]int{}
	}
	if len(c.list) < watchedChanges {
		c.index[pair] = len(c.list)
		c.list = append(c.list, counted{change: pair, count: 1})
		return
	}
	rarest := c.rarest()
	least := c.list[rarest]
	delete(c.index, least.change)
	c.index[pair] = rarest
	c.list[rarest] = counted{change: pair, count: least.count + 1, doubt: least.count}
}

// rarest is the place of a smallest count. Counts only rise, so a search that
// goes on where the last one ended looks at few.
func (c *changes) rarest() int {
	for {
		for range c.list {
			c.next = (c.next + 1) % len(c.list)
			if c.list[c.next].count <= c.least {
				return c.next
			}
		}
		c.least = slices.MinFunc(c.list, func(a, b counted) int { return cmp.Compare(a.count, b.count) }).count
	}
}

// most returns the most frequent changes, the first of them first.
func (c *changes) most() []wire.DivergenceChange {
	var out []wire.DivergenceChange
	for _, k := range c.list {
		out = append(out, wire.DivergenceChange{From: k.from, To: k.to, Count: k.count - k.doubt})
	}
	slices.SortStableFunc(out, func(a, b wire.DivergenceChange) int { return cmp.Compare(b.Count, a.Count) })
	return out[:min(len(out), toldChanges)]
}
