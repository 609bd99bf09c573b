package config

import (
	"os"
	"path/filepath"
	"reflect"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/spf13/viper"
)

// example is the file that the project ships.
var example = filepath.Join("..", "..", "config.yaml")

func env(pairs ...string) func(string) (string, bool) {
	return func(name string) (string, bool) {
		for i := 0; i < len(pairs); i += 2 {
			if pairs[i] == name {
				return pairs[i+1], true
			}
		}
		return "", false
	}
}

// write puts text into a file of its own and returns the path.
func write(t *testing.T, text string) string {
	t.Helper()
	path := filepath.Join(t.TempDir(), "config.yaml")
	if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
	return path
}

func TestDefaults(t *testing.T) {
	c, err := Load(Source{})
	if err != nil {
		t.Fatal(err)
	}
	if err := c.Validate(); err != nil {
		t.Error(err)
	}
	want := Config{
		Server: Server{
			Listen: "127.0.0.1:8080", ReadHeaderTimeout: 10 * time.Second, ReadTimeout: time.Minute,
			UploadTimeout: 30 * time.Minute, IdleTimeout: 2 * time.Minute, DrainTimeout: 30 * time.Second,
			RequestTimeout: 30 * time.Second, MaxBody: 64 << 20, AccessLog: true,
		},
		Registry:    Registry{Root: "var/registry", MaxUpload: 8 << 30, MaxFiles: 1000},
		Runtime:     Runtime{MaxQueued: 1024, IntraOpThreads: 1, Isolation: "auto"},
		Examination: Examination{Timeout: 10 * time.Minute},
		Parity:      Parity{ProbeInterval: time.Minute},
		Canary: Canary{
			MinRequests: 100, MinTime: 30 * time.Second, MaxErrorRate: 0.01, MaxInvalidRate: 0.01,
			MaxLatencyRatio: 2, MaxDisagreement: 0.1,
		},
		Capture: Capture{MaxBytes: 16 << 20},
		Log:     Log{Level: "info", Format: "json"},
	}
	if c != want {
		t.Errorf("defaults are\n%+v, want\n%+v", c, want)
	}
}

func TestExampleHoldsEveryKeyWithItsDefault(t *testing.T) {
	shipped, err := Load(Source{File: example, FileRequired: true})
	if err != nil {
		t.Fatal(err)
	}
	if defaults, _ := Load(Source{}); shipped != defaults {
		t.Errorf("config.yaml sets\n%+v, the defaults are\n%+v", shipped, defaults)
	}
	v := viper.New()
	v.SetConfigFile(example)
	if err := v.ReadInConfig(); err != nil {
		t.Fatal(err)
	}
	inFile, inStruct := v.AllKeys(), Keys()
	slices.Sort(inFile)
	slices.Sort(inStruct)
	if !slices.Equal(inFile, inStruct) {
		t.Errorf("config.yaml has the keys\n%v, Config has\n%v", inFile, inStruct)
	}
}

func TestFlagOverEnvironmentOverFileOverDefault(t *testing.T) {
	file := write(t, "server: {listen: 127.0.0.1:1, idle_timeout: 1m, max_body: 1MiB}\n")
	c, err := Load(Source{
		File:  file,
		Env:   env("TENON_SERVER_LISTEN", "127.0.0.1:2", "TENON_SERVER_IDLE_TIMEOUT", "2m"),
		Flags: map[string]string{"server.listen": "127.0.0.1:3"},
	})
	if err != nil {
		t.Fatal(err)
	}
	got := []any{c.Server.Listen, c.Server.IdleTimeout, c.Server.MaxBody, c.Log.Level}
	want := []any{"127.0.0.1:3", 2 * time.Minute, Size(1 << 20), "info"}
	if !reflect.DeepEqual(got, want) {
		t.Errorf("got %v, want %v", got, want)
	}
}

// Each key is set by its own variable and by no other: one named like a section
// once shadowed all keys of that section.
func TestEachKeyHasItsVariable(t *testing.T) {
	other := map[string]string{"bool": "true", "int": "7", "time.Duration": "7s", "config.Size": "7MiB"}
	for _, k := range keys {
		typ := reflect.TypeFor[Config]().FieldByIndex(k.index).Type.String()
		value := other[typ]
		switch {
		case k.name == "server.access_log":
			value = "false"
		case typ == "float64":
			value = k.tag.Get("max")
		case k.tag.Get("is") == "address":
			value = "127.0.0.1:7"
		case k.tag.Get("oneof") != "":
			value = strings.Fields(k.tag.Get("oneof"))[1]
			if value == k.tag.Get("default") {
				value = strings.Fields(k.tag.Get("oneof"))[0]
			}
		case typ == "string":
			value = "elsewhere"
		}
		c, err := Load(Source{Env: env(EnvName(k.name), value, "TENON_SERVER", "x", "TENON_LOG", "x", "SERVER_LISTEN", "x")})
		if err != nil {
			t.Fatal(err)
		}
		for i, defaults := 0, mustLoad(t); i < len(keys); i++ {
			differs := !reflect.DeepEqual(field(c, keys[i]), field(defaults, keys[i]))
			if differs != (keys[i].name == k.name) {
				t.Errorf("%s=%s: %s is %v", EnvName(k.name), value, keys[i].name, field(c, keys[i]))
			}
		}
	}
}

func mustLoad(t *testing.T) Config {
	t.Helper()
	c, err := Load(Source{})
	if err != nil {
		t.Fatal(err)
	}
	return c
}

func field(c Config, k key) any { return reflect.ValueOf(c).FieldByIndex(k.index).Interface() }

func TestRefused(t *testing.T) {
	tests := []struct {
		name, file string
		env        []string
		want       string
	}{
		{"unknown key", "server: {listn: x}", nil, "server.listn in FILE is not a key; did you mean server.listen?"},
		{"key in the wrong section", "server: {root: x}", nil, "server.root in FILE is not a key; did you mean registry.root?"},
		{"unknown section", "sever: {listen: x}", nil, "sever.listen in FILE is not a key; did you mean server.listen?"},
		{"key below a key", "server: {listen: {host: x}}", nil, "server.listen.host in FILE is not a key"},
		{"section as a value", "server: 8080", nil, "server in FILE is a section"},
		{"no value", "server:\n  listen:\n", nil, "server.listen in FILE has no value"},
		{"twice", "log: {level: info, level: warn}", nil, "FILE is not the YAML of a configuration"},
		{"not YAML", "server: [", nil, "FILE is not the YAML of a configuration"},
		{"a list", "- server", nil, "FILE is not the YAML of a configuration"},
		{"empty address", `server: {listen: ""}`, nil, `server.listen is "" (in FILE): it must not be empty: write an address`},
		{"empty variable", "", []string{"TENON_SERVER_LISTEN", ""}, `server.listen is "" (from TENON_SERVER_LISTEN): it must not be empty`},
		{"port alone", "server: {listen: 8080}", nil, `server.listen is "8080" (in FILE): write host:port`},
		{"port of letters", "server: {listen: 'localhost:http'}", nil, "the port must be a number"},
		{"port too large", "server: {listen: '127.0.0.1:65536'}", nil, "the port must be a number from 0 to 65535"},
		{"empty root", `registry: {root: " "}`, nil, `registry.root is " " (in FILE): it must not be empty`},
		{"duration without unit", "server: {idle_timeout: 30}", nil, `server.idle_timeout is "30" (in FILE): write a duration with its unit`},
		{"duration below", "server: {read_timeout: 1ms}", nil, `server.read_timeout is "1ms" (in FILE): choose 100ms to 1h`},
		{"duration above", "server: {read_timeout: 2h}", nil, "choose 100ms to 1h"},
		{"negative duration", "server: {drain_timeout: -1s}", nil, "choose 0s to 1h"},
		{"size", "server: {max_body: much}", nil, `server.max_body is "much" (in FILE): write a size such as 64MiB`},
		{"size above", "server: {max_body: 3GiB}", nil, "choose 1KiB to 2GiB"},
		{"size below", "server: {max_body: 0}", nil, "choose 1KiB to 2GiB"},
		{"fraction", "registry: {max_files: 1.5}", nil, `registry.max_files is "1.5" (in FILE): write a whole number`},
		{"number below", "runtime: {intra_op_threads: 0}", nil, "choose 1 to 1024"},
		{"no number", "canary: {max_error_rate: 1%}", nil, `canary.max_error_rate is "1%" (in FILE): write a number such as 0.01`},
		{"share above", "canary: {max_error_rate: 1.5}", nil, `canary.max_error_rate is "1.5" (in FILE): choose 0 to 1`},
		{"share just above", "canary: {max_error_rate: 1.0000001}", nil, "choose 0 to 1"},
		{"share below", "canary: {max_invalid_rate: -0.01}", nil, "choose 0 to 1"},
		{"ratio below", "canary: {max_latency_ratio: 0.99}", nil, "choose 1 to 1000"},
		{"not a number", "canary: {max_disagreement: .nan}", nil, `canary.max_disagreement is "NaN" (in FILE): choose 0 to 1`},
		{"infinite", "", []string{"TENON_CANARY_MAX_LATENCY_RATIO", "inf"}, "choose 1 to 1000"},
		{"share beyond all floats", "canary: {max_disagreement: 1e999}", nil, "write a number such as 0.01"},
		{"not a truth", "server: {access_log: 'on'}", nil, `server.access_log is "on" (in FILE): choose one of true, false`},
		{"not a level", "", []string{"TENON_LOG_LEVEL", "loud"}, "choose one of debug, info, warn, error"},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			file := write(t, tt.file)
			_, err := Load(Source{File: file, Env: env(tt.env...)})
			want := strings.ReplaceAll(tt.want, "FILE", file)
			if err == nil || !strings.Contains(err.Error(), want) {
				t.Errorf("Load = %v\nwant %s", err, want)
			}
		})
	}
}

func TestAllProblemsAtOnce(t *testing.T) {
	file := write(t, "server: {listn: x, max_body: much}\nlog: {level: loud}\n")
	_, err := Load(Source{File: file, Flags: map[string]string{"log.fromat": "json"}})
	if err == nil {
		t.Fatal("no error")
	}
	if lines := strings.Split(err.Error(), "\n"); len(lines) != 4 {
		t.Errorf("got %d lines, want 4:\n%v", len(lines), err)
	}
}

func TestFiles(t *testing.T) {
	absent := filepath.Join(t.TempDir(), "absent.yaml")
	if _, err := Load(Source{File: absent}); err != nil {
		t.Errorf("a default file that is missing: %v", err)
	}
	if _, err := Load(Source{File: absent, FileRequired: true}); err == nil || !strings.Contains(err.Error(), absent) {
		t.Errorf("a named file that is missing: %v", err)
	}
	if _, err := Load(Source{File: t.TempDir()}); err == nil {
		t.Error("a folder was read as a file")
	}
	for _, harmless := range []string{"", "# nothing\n", "server:\n  # listen: x\nlog:\n"} {
		if _, err := Load(Source{File: write(t, harmless)}); err != nil {
			t.Errorf("%q: %v", harmless, err)
		}
	}
}

func TestOnlyLoopbackWithoutAuthentication(t *testing.T) {
	for listen, private := range map[string]bool{
		"127.0.0.1:8080": true, "localhost:0": true, "[::1]:8080": true, "127.8.8.8:1": true,
		":8080": false, "0.0.0.0:8080": false, "[::]:8080": false, "192.0.2.1:80": false,
		"example.org:80": false, "localhost.example.org:80": false,
	} {
		c, err := Load(Source{Flags: map[string]string{"server.listen": listen}})
		if err != nil {
			t.Fatal(err)
		}
		err = c.Validate()
		if private != (err == nil) || err != nil && !strings.Contains(err.Error(), "--allow-unauthenticated") {
			t.Errorf("%s: %v", listen, err)
		}
		c.Server.AllowUnauthenticated = true
		if err := c.Validate(); err != nil {
			t.Errorf("%s, allowed: %v", listen, err)
		}
	}
}

func TestFractions(t *testing.T) {
	for text, want := range map[string]float64{"0": 0, "1": 1, "0.25": 0.25, "1e-7": 1e-7, ".5": 0.5} {
		c, err := Load(Source{File: write(t, "canary: {max_error_rate: "+text+"}")})
		if err != nil || c.Canary.MaxErrorRate != want {
			t.Errorf("%s is read as %v, %v", text, c.Canary.MaxErrorRate, err)
		}
	}
}

func TestSizes(t *testing.T) {
	for text, want := range map[string]Size{
		"0": 0, "17": 17, "17B": 17, "1KiB": 1024, "64MiB": 64 << 20, "8 gib": 8 << 30, "1TiB": 1 << 40,
		"2kB": 2000, "500MB": 500e6, "3GB": 3e9, "1TB": 1e12, " 1MiB ": 1 << 20,
	} {
		if got, err := ParseSize(text); err != nil || got != want {
			t.Errorf("ParseSize(%q) = %d, %v, want %d", text, got, err, want)
		}
	}
	for _, text := range []string{"", "B", "MiB", "-1", "1.5GiB", "64 M", "1XiB", "9000000000GiB", "1e3"} {
		if got, err := ParseSize(text); err == nil {
			t.Errorf("ParseSize(%q) = %d, want an error", text, got)
		}
	}
	for size, want := range map[Size]string{0: "0B", 17: "17B", 1024: "1KiB", 64 << 20: "64MiB", 1 << 40: "1TiB", 1500: "1500B"} {
		if got := size.String(); got != want {
			t.Errorf("Size(%d) is written %q, want %q", int64(size), got, want)
		}
	}
}
