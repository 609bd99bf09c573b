package lifecycle

import (
	"context"
	"log/slog"
	"slices"
	"sync"
	"sync/atomic"
	"time"

	"github.com/tenon-ml/tenon/api/wire"
	"github.com/tenon-ml/tenon/internal/bundle"
	"github.com/tenon-ml/tenon/internal/capture"
	"github.com/tenon-ml/tenon/internal/fault"
	"github.com/tenon-ml/tenon/internal/rollout"
	"github.com/tenon-ml/tenon/registry"
	"github.com/tenon-ml/tenon/runtime/host"
)

// Options are what a Manager is made of. Store, Host, Captures, Form and Log are
// needed.
type Options struct {
	Store    *registry.Store
	Host     *host.Host
	Captures *capture.Recorder // runs from Resume to Close
	Form     Form
	Log      *slog.Logger
	Limits   bundle.Limits // of one upload

	// Runtime says in words what answers are computed with: the engine, its
	// version and the processor. A verdict that was found with another one is
	// looked at again; empty, none is.
	Runtime string
	// CanaryLimits are of canaries whose deployment has none of its own.
	CanaryLimits rollout.Limits
	// Ticks, where set, has a live version probed at every one of them.
	Ticks <-chan time.Time
	// Looks is when the logs are looked at for changes that another server, or a
	// person who mended a model, has made; nil is once a second.
	Looks <-chan time.Time
	// RunTimeout is how long a version may take over one request of a rehearsal; 0
	// is half a minute.
	RunTimeout time.Duration
	// Now is the clock; nil is the system's.
	Now func() time.Time
}

// Manager keeps the registry and the host in step. It is safe for concurrent
// use; changes of one model happen one after the other.
type Manager struct {
	store    *registry.Store
	host     *host.Host
	captures *capture.Recorder
	form     Form
	log      *slog.Logger
	limits   bundle.Limits
	examples sync.Map // rows by place

	canaries rollout.Limits
	runtime  string
	ticks    <-chan time.Time
	looks    <-chan time.Time
	now      func() time.Time
	probes   probes

	examiner   Examiner
	warmer     Warmer
	publishing sync.Mutex // one examination at a time
	rehearsing sync.Mutex // one rehearsal at a time
	runTimeout time.Duration
	operations operations
	rollbacks  atomic.Int64 // of canaries, by the server itself

	life       context.Context // of the work that no request waits for
	end        context.CancelFunc
	background sync.WaitGroup

	mu      sync.Mutex
	changes map[string]*sync.Mutex // by model
	resumed bool
	loading map[string]int // stable versions that Resume has yet to load
}

// Stamp says who changes something, and in which request; records keep it.
type Stamp = registry.Stamp

// New returns a manager that has not looked at the registry yet; call Resume.
func New(o Options) *Manager {
	life, end := context.WithCancel(context.Background())
	if o.Now == nil {
		o.Now = time.Now
	}
	if o.Looks == nil {
		o.Looks = time.Tick(lookEvery)
	}
	if o.RunTimeout <= 0 {
		o.RunTimeout = 30 * time.Second
	}
	return &Manager{
		life: life, end: end, canaries: o.CanaryLimits, runtime: o.Runtime, ticks: o.Ticks, looks: o.Looks, now: o.Now,
		store: o.Store, host: o.Host, captures: o.Captures, form: o.Form, log: o.Log, limits: o.Limits, runTimeout: o.RunTimeout,
		changes: map[string]*sync.Mutex{}, loading: map[string]int{},
	}
}

// Use sets who examines and who warms versions. cmd calls it once, when the
// handler is built and before anything is published or resumed.
func (m *Manager) Use(x Examiner, w Warmer) { m.examiner, m.warmer = x, w }

// Close ends examinations that run, and waits for them. Their uploads are not
// registered, and the pushes may be repeated.
func (m *Manager) Close() {
	m.end()
	m.background.Wait()
}

// change locks a model against other changes; the caller unlocks it.
func (m *Manager) change(model string) *sync.Mutex {
	m.mu.Lock()
	defer m.mu.Unlock()
	lock := m.changes[model]
	if lock == nil {
		lock = &sync.Mutex{}
		m.changes[model] = lock
	}
	return lock
}

// Resume makes live what the registry's log says, model by model. A model
// that is damaged and a version that does not load are told to the host, are
// logged, and keep nothing else from serving. It returns early only when ctx
// ends or the registry cannot be listed.
func (m *Manager) Resume(ctx context.Context) error {
	m.background.Go(func() { m.captures.Run(m.life) })
	names, err := m.store.Models()
	if err != nil {
		return err
	}
	m.mu.Lock()
	for _, name := range names {
		m.loading[name] = 0
	}
	m.mu.Unlock()
	// All models are known before the first of them takes its time to load.
	for _, name := range names {
		m.announce(name)
	}
	for _, name := range names {
		if err := ctx.Err(); err != nil {
			return err
		}
		m.resume(ctx, name)
	}
	m.mu.Lock()
	m.resumed = true
	m.mu.Unlock()
	m.background.Go(func() { m.examineStale(m.life) })
	m.background.Go(func() { m.probe(m.life) })
	m.background.Go(func() { m.follow(m.life) })
	return nil
}

// announce routes a model with nothing loaded yet. One that a request has
// changed since the start is routed already, and must not lose what serves.
func (m *Manager) announce(name string) {
	lock := m.change(name)
	lock.Lock()
	defer lock.Unlock()
	if m.host.Routes(name) != nil {
		return
	}
	st, err := m.store.State(name)
	if err != nil {
		m.host.Route(&host.Routes{Model: name, Fault: err})
		return
	}
	routes := routesOf(st)
	m.mu.Lock()
	m.loading[name] = routes.Stable
	m.mu.Unlock()
	for _, n := range wanted(st) {
		routes.Failed[n] = errLoading
	}
	m.host.Route(routes)
}

// errLoading is the answer of a version that is on its way.
var errLoading = fault.New(fault.Unavailable, fault.NotReady,
	"The version is still being loaded; /readyz tells when that is done.")

// resume loads what a model's log says is live.
func (m *Manager) resume(ctx context.Context, name string) {
	lock := m.change(name)
	lock.Lock()
	defer lock.Unlock()
	if st, err := m.store.State(name); err != nil {
		m.log.Error("a model is quarantined", "model", name, "error", err)
		m.host.Route(&host.Routes{Model: name, Fault: err})
	} else {
		was := m.host.Routes(name)
		m.route(ctx, st, nil)
		m.tellFollowed(was, st)
	}
	m.mu.Lock()
	delete(m.loading, name)
	m.mu.Unlock()
}

// route makes the host serve what st says: versions that are loaded already
// stay, fresh ones join them, the others that should be loaded are.
// Loads here are the server's own business, so the end of the request that
// caused them does not end them.
func (m *Manager) route(ctx context.Context, st *registry.State, loaded fresh) {
	ctx = context.WithoutCancel(ctx)
	routes := routesOf(st)
	for _, n := range wanted(st) {
		if v := loaded[n]; v != nil {
			routes.Loaded[n] = v
			continue
		}
		isolation := isolationOf(st, n)
		before := m.loaded(st.Name, n)
		if before != nil {
			if v, ok := st.Version(n); ok { // another process may have examined it
				before.Judge(string(v.Parity))
			}
			routes.Loaded[n] = before
			if string(before.Isolation) == isolation {
				continue
			}
		}
		v, err := m.load(ctx, st, n, isolation)
		if err != nil && before != nil {
			m.log.Error("a version could not be loaded with another isolation and goes on with the one before",
				"model", st.Name, "version", n, "isolation", isolation, "error", err)
			routes.Failed[n] = err
			continue
		}
		if err != nil {
			m.log.Error("a version could not be loaded", "model", st.Name, "version", n, "error", err)
			routes.Failed[n] = err
			continue
		}
		routes.Loaded[n] = v
	}
	for n, v := range loaded {
		if routes.Loaded[n] != v {
			v.Drop() // another process deployed again in between
		}
	}
	m.keepServing(routes)
	m.host.Route(routes)
}

// keepServing leaves the traffic on the version that has it now where the one
// that should take over cannot be loaded here. What is wrong stays visible: the
// model is not ready, and its problem says why. Nothing is on trial meanwhile.
func (m *Manager) keepServing(routes *host.Routes) {
	now := m.host.Routes(routes.Model)
	wanted := routes.Traffic.Stable
	if now == nil || wanted == 0 || routes.Loaded[wanted] != nil {
		return
	}
	before := now.Traffic.Stable
	if v := now.Loaded[before]; v != nil && routes.Known[before] {
		routes.Loaded[before], routes.Traffic, routes.Missing = v, wire.Stable(before), wanted
		m.log.Error("the version before goes on in the place of one that could not be loaded",
			"model", routes.Model, "serving", before, "deployed", wanted)
	}
}

// load opens a version from its view.
func (m *Manager) load(ctx context.Context, st *registry.State, n int, isolation string) (*host.Version, error) {
	v, ok := st.Version(n)
	if !ok {
		return nil, fault.New(fault.NotFound, fault.VersionNotFound, "The model %q has no version %d.", st.Name, n)
	}
	dir, err := m.store.View(v)
	if err != nil {
		return nil, err
	}
	loaded, err := m.host.Load(ctx, host.Source{Model: st.Name, Number: n, Dir: dir, Isolation: host.Isolation(isolation)})
	if err == nil {
		loaded.Judge(string(v.Parity))
	}
	return loaded, err
}

// routesOf says what the registry knows, with nothing loaded.
func routesOf(st *registry.State) *host.Routes {
	routes := &host.Routes{
		Model: st.Name, Seq: st.Seq, Aliases: st.Aliases, Known: map[int]bool{},
		Loaded: map[int]*host.Version{}, Failed: map[int]error{},
	}
	for _, v := range st.Versions {
		if !v.Deleted {
			routes.Known[v.Number] = true
		}
	}
	if d := st.Current(); d != nil {
		routes.Traffic, routes.Deployment, routes.Since = d.Traffic, d.Number, d.Created
	}
	return routes
}

// wanted lists the versions that are to be loaded, the stable one first: those
// of the current deployment, those with an alias, and the previous stable one,
// to which a rollback returns.
func wanted(st *registry.State) []int {
	var list []int
	add := func(n int) {
		if v, ok := st.Version(n); ok && !v.Deleted && !slices.Contains(list, n) {
			list = append(list, n)
		}
	}
	if d := st.Current(); d != nil {
		for _, n := range versionsIn(&d.Traffic) {
			add(n)
		}
	}
	for _, n := range st.Aliases {
		add(n)
	}
	if d := st.Previous(); d != nil {
		add(d.Stable)
	}
	return list
}
