package onnx

// walkGraph walks the main graph (depth 0 of the main scope) or a subgraph.
func (w *walker) walkGraph(s span, at *place, sc *scope, depth int) {
	if depth > w.limits.Depth {
		w.over(at, "depth", "levels of graphs inside graphs", int64(w.limits.Depth))
		return
	}
	sc.depth = max(sc.depth, depth)
	main := depth == 0 && sc == w.main
	var nodes, inputs, outputs, initializers, sparse, values int64
	for f := range w.fields(s, at) {
		switch f.key {
		case graphName:
			if main {
				w.model.GraphName = w.name(f, at)
			}
		case graphNode:
			w.node(f, at.nth("node", nodes), sc, depth)
			nodes++
		case graphInitializer:
			w.initializer(w.tensor(f.body, at.nth("initializer", initializers)), at.nth("initializer", initializers), main)
			initializers++
		case graphSparse:
			w.initializer(w.sparse(f.body, at.nth("sparse_initializer", sparse)), at.nth("sparse_initializer", sparse), main)
			sparse++
		case graphInput:
			w.input(f, at.nth("input", inputs), main, inputs)
			inputs++
		case graphOutput:
			w.output(f, at.nth("output", outputs), main, outputs)
			outputs++
		case graphValue:
			w.value(f.body, at.nth("value_info", values))
			values++
		}
	}
}

func (w *walker) input(f field, at *place, main bool, before int64) {
	v := w.value(f.body, at)
	// An old exporter lists every initializer as an input too.
	if most := int64(w.limits.Inputs + w.limits.Names); before >= most {
		w.over(at, "inputs", "graph inputs", most)
	}
	if main {
		w.model.Inputs = append(w.model.Inputs, v)
	}
}

func (w *walker) output(f field, at *place, main bool, before int64) {
	v := w.value(f.body, at)
	if before >= int64(w.limits.Inputs) {
		w.over(at, "outputs", "graph outputs", int64(w.limits.Inputs))
	}
	if main {
		w.model.Outputs = append(w.model.Outputs, v)
		w.outputs = append(w.outputs, f)
	}
}

// initializer keeps the name of a stored tensor of the main graph.
func (w *walker) initializer(name string, at *place, main bool) {
	w.model.Initializers++
	if !main {
		return
	}
	if w.initializers[name] {
		w.find(at, FindingName, "two initializers are called %s", quote(name))
	}
	w.initializers[name] = true
}

func (w *walker) node(f field, at *place, sc *scope, depth int) {
	var domain, op, overload string
	var attributes int64
	for g := range w.fields(f.body, at) {
		switch g.key {
		case nodeOp:
			op = w.intern(g, at)
		case nodeDomain:
			domain = w.intern(g, at)
		case nodeOverloaded:
			overload = w.intern(g, at)
		case nodeAttribute:
			w.attribute(g.body, at.nth("attribute", attributes), sc, depth)
			attributes++
		}
	}
	w.model.Nodes++
	w.model.OpTypes[opKey(domain, op)]++
	sc.count(callKey(domain, op, overload), call{domain: domain, op: op, depth: depth, at: at})
	if sc.nodes > w.limits.Nodes {
		w.over(at, "nodes", "nodes", w.limits.Nodes)
	}
	if sc == w.main && depth == 0 && domain == "ai.onnx.ml" && op == "ZipMap" {
		w.zipMap(f, at)
	}
	if w.watch != nil {
		w.watch.node(w, f, at, sc == w.main && depth == 0)
	}
}

func (s *scope) count(key string, c call) {
	s.nodes++
	known := s.calls[key]
	if known == nil {
		known = &c
		s.calls[key] = known
	}
	known.count++
	known.depth = max(known.depth, c.depth)
}

func (w *walker) attribute(s span, at *place, sc *scope, depth int) {
	for f := range w.fields(s, at) {
		switch f.key {
		case attributeTensor, attributeTensors:
			w.tensor(f.body, at)
		case attributeSparse, attributeSparses:
			w.sparse(f.body, at)
		case attributeGraph, attributeGraphs:
			w.walkGraph(f.body, at, sc, depth+1)
		case attributeType, attributeTypes:
			w.typ(f.body, at, 0)
		}
	}
}

// function walks the body of a function that the model defines.
func (w *walker) function(s span, at *place) {
	sc := newScope(at)
	var name, domain, overload string
	var nodes, values int64
	for f := range w.fields(s, at) {
		switch f.key {
		case functionName:
			name = w.name(f, at)
		case functionDomain:
			domain = w.name(f, at)
		case functionOverload:
			overload = w.name(f, at)
		case functionNode:
			w.node(f, at.nth("node", nodes), sc, 0)
			nodes++
		case functionAttribute:
			w.attribute(f.body, at, sc, 0)
		case functionValue:
			w.value(f.body, at.nth("value_info", values))
			values++
		}
	}
	key := callKey(domain, name, overload)
	sc.name = opKey(domain, name)
	if w.functions[key] != nil {
		w.find(at, FindingName, "the function %s is defined twice", quote(sc.name))
	}
	w.functions[key] = sc
	w.bodies = append(w.bodies, sc)
	w.model.Functions = append(w.model.Functions, sc.name)
}

// callKey is what a node and the function it calls have in common.
func callKey(domain, op, overload string) string {
	if standard(domain) {
		domain = ""
	}
	return domain + "\x00" + op + "\x00" + overload
}
