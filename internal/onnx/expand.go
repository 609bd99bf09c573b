package onnx

import (
	"maps"
	"slices"
)

// cost is what a scope comes to when all functions in it are replaced by
// their bodies, as ONNX Runtime does at load: a few lines of calls can stand
// for billions of nodes.
type cost struct {
	nodes int64
	depth int
	open  bool // being computed: a call that comes back here is recursive
}

// finishCalls checks the domains of all nodes and the size after expansion.
func (w *walker) finishCalls() {
	for _, sc := range append([]*scope{w.main}, w.bodies...) {
		w.checkDomains(sc)
	}
	total := w.expand(w.main, 0)
	w.model.Expanded = total.nodes
	if w.err != nil {
		return
	}
	if total.nodes > w.limits.Nodes {
		w.over(w.main.at, "nodes", "nodes after its functions are expanded", w.limits.Nodes)
	}
	if total.depth > w.limits.Depth {
		w.over(w.main.at, "depth", "levels of graphs and functions inside each other", int64(w.limits.Depth))
	}
}

// builtin reports whether ONNX Runtime brings the domain's operators itself.
func builtin(domain string) bool {
	return standard(domain) || domain == "ai.onnx.ml" || domain == "com.microsoft"
}

func (w *walker) checkDomains(sc *scope) {
	for _, key := range slices.Sorted(maps.Keys(sc.calls)) {
		c := sc.calls[key]
		if !builtin(c.domain) && w.functions[key] == nil {
			w.find(c.at, FindingDomain, "the operator %s of the domain %s is not one that ONNX Runtime brings: "+
				"only ai.onnx, ai.onnx.ml and com.microsoft are, and functions inside the model", quote(c.op), quote(c.domain))
		}
	}
}

// expand returns the cost of a scope; level counts the functions around it.
func (w *walker) expand(sc *scope, level int) cost {
	if sc.cost != nil {
		if sc.cost.open {
			w.fail(sc.at, FindingRecursion, "the function "+quote(sc.name)+" calls itself, directly or through others",
				"the model holds a recursive function, which cannot be run: export it again")
		}
		return *sc.cost
	}
	if level > w.limits.Depth {
		w.over(sc.at, "depth", "levels of functions inside each other", int64(w.limits.Depth))
		return cost{}
	}
	sc.cost = &cost{open: true}
	sum := cost{depth: sc.depth}
	for _, key := range slices.Sorted(maps.Keys(sc.calls)) {
		c := sc.calls[key]
		body := w.functions[key]
		if body == nil {
			sum.nodes = plus(sum.nodes, c.count)
			continue
		}
		inner := w.expand(body, level+1)
		if w.err != nil {
			return cost{}
		}
		sum.nodes = plus(sum.nodes, times(c.count, max(inner.nodes, 1)))
		sum.depth = max(sum.depth, c.depth+1+inner.depth)
	}
	*sc.cost = sum
	return sum
}
