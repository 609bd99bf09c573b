package ort

import (
	"context"
	"fmt"
	"os"
	"path/filepath"
	"sync"

	binding "github.com/yalue/onnxruntime_go"

	"github.com/tenon-ml/tenon/internal/fault"
	"github.com/tenon-ml/tenon/runtime/engine"
)

// ONNX Runtime has one environment a process and the binding one library, so
// the first New of a process decides.
var (
	environment sync.Mutex
	loaded      string
)

// Engine is ONNX Runtime in this process.
type Engine struct{}

// New loads the shared library at path, once a process; a second call with
// another path fails.
func New(path string) (*Engine, error) {
	environment.Lock()
	defer environment.Unlock()
	if loaded != "" {
		if loaded != path {
			return nil, fmt.Errorf("ONNX Runtime is loaded from %s already, so %s cannot be", loaded, path)
		}
		return &Engine{}, nil
	}
	// Official builds send telemetry unless told not to before they start.
	for _, name := range telemetrySwitches {
		if err := os.Setenv(name, "1"); err != nil {
			return nil, err
		}
	}
	binding.SetSharedLibraryPath(path)
	// Errors come back to us. ONNX Runtime's own lines about them would stand,
	// coloured and with clients' values, among the lines of our log.
	if err := binding.InitializeEnvironment(binding.WithLogLevelFatal()); err != nil {
		return nil, fmt.Errorf("ONNX Runtime could not be started from %s: %w", path, err)
	}
	if err := binding.DisableTelemetry(); err != nil {
		return nil, fmt.Errorf("ONNX Runtime's telemetry could not be switched off: %w", err)
	}
	loaded = path
	return &Engine{}, nil
}

var telemetrySwitches = []string{"ORT_DISABLE_TELEMETRY", "ORT_TELEMETRY_DISABLED"}

// Library is the path that New was called with.
func (*Engine) Library() string {
	environment.Lock()
	defer environment.Unlock()
	return loaded
}

// Version implements engine.Engine.
func (*Engine) Version() string { return "onnxruntime " + binding.GetVersion() }

// Opset is the newest operator set of the domain ai.onnx that this release of
// ONNX Runtime runs; a test asks the library.
func (*Engine) Opset() int64 { return 28 }

// Load implements engine.Engine.
func (*Engine) Load(ctx context.Context, g engine.Graph) (engine.Session, error) {
	if err := ctx.Err(); err != nil {
		return nil, err
	}
	if err := supported(g); err != nil {
		return nil, err
	}
	options, err := sessionOptions(g)
	if err != nil {
		return nil, err
	}
	defer func() { _ = options.Destroy() }()
	inner, err := open(g, options)
	if err != nil {
		return nil, refused(g, err)
	}
	return &session{inner: inner, graph: g, plan: planOutputs(g)}, nil
}

func open(g engine.Graph, options *binding.SessionOptions) (*binding.DynamicAdvancedSession, error) {
	if g.Model != nil {
		return binding.NewDynamicAdvancedSessionWithONNXData(g.Model, names(g.Inputs), names(g.Outputs), options)
	}
	return binding.NewDynamicAdvancedSession(g.Path, names(g.Inputs), names(g.Outputs), options)
}

func names(ports []engine.Port) []string {
	out := make([]string, len(ports))
	for i := range ports {
		out[i] = ports[i].Name
	}
	return out
}

// sessionOptions sets one thread within a run: as many runs as cores at once
// are best or near best for throughput everywhere.
func sessionOptions(g engine.Graph) (*binding.SessionOptions, error) {
	options, err := binding.NewSessionOptions()
	if err != nil {
		return nil, err
	}
	if err = options.SetIntraOpNumThreads(max(g.Threads, 1)); err == nil {
		err = options.SetInterOpNumThreads(1)
	}
	if err == nil && g.Model != nil && g.Path != "" {
		// Rewritten bytes have no folder of their own to look for weights in.
		err = options.AddSessionConfigEntry("session.model_external_initializers_file_folder_path", filepath.Dir(g.Path))
	}
	if err != nil {
		_ = options.Destroy()
		return nil, err
	}
	return options, nil
}

// refused words ONNX Runtime's error for the person who pushed the model.
func refused(g engine.Graph, err error) error {
	reason := cleanMessage(err.Error(), g.Path)
	remedy := "check that the file loads in Python with onnxruntime " + Release
	if locale := lacksLocale(reason); locale != "" {
		remedy = "install the locale " + locale + " on the server, which the model's string normalisation needs"
	}
	return fault.New(fault.Unprocessable, fault.ModelRefused,
		"ONNX Runtime refused the model: %s; %s.", reason, remedy).Because(err)
}
