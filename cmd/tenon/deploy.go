package main

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"reflect"
	"strconv"
	"strings"

	"github.com/spf13/cobra"

	"github.com/tenon-ml/tenon/api/client"
	"github.com/tenon-ml/tenon/api/wire"
	"github.com/tenon-ml/tenon/internal/ref"
)

// deployFlags are what `tenon deploy` may be told.
type deployFlags struct {
	reason    string
	isolation string
	expected  int
	canary    []string
	limits    map[string]string
	shadow    bool
	capture   float64
	redact    []string
	none      bool // a capture of 0 was asked for
	force     bool
}

func deployCommand(a *app) *cobra.Command {
	c := &cobra.Command{
		Use:   "deploy MODEL/VERSION",
		Short: "Put a version into traffic",
		Long: "Put a version into traffic: all of it, or with --canary a share that rises step by step while it keeps to its limits,\n" +
			"or with --shadow copies of requests whose answers nobody sees. Beside a canary and a shadow, what is in traffic stays.",
		Args: arguments(1, 1),
	}
	var f deployFlags
	flags := c.Flags()
	flags.StringVar(&f.reason, "reason", "", "why, for the record")
	flags.IntVar(&f.expected, "expected", 0, "refuse unless this is the number of the current deployment (0: none)")
	flags.StringVar(&f.isolation, "isolation", "", "the process it runs in: auto, shared or process (default: the server's runtime.isolation; beside --canary and --shadow, as it is)")
	flags.StringSliceVar(&f.canary, "canary", nil, "try it on shares of the traffic, in percent, as in 1,5,25,50")
	flags.StringToStringVar(&f.limits, "limit", nil, "what the canary must keep to, where it is not what the server's settings say, as in max_disagreement=0.2,min_time=5m")
	flags.BoolVar(&f.shadow, "shadow", false, "send it copies of requests")
	flags.Float64Var(&f.capture, "capture", 0, "keep this share of the requests for rehearsals, such as 0.01 for one in a hundred")
	flags.StringSliceVar(&f.redact, "redact", nil, "columns whose values are not kept, as in name,ssn")
	flags.BoolVar(&f.force, "force", false, "also where its signature breaks the callers of the version in traffic")
	c.RunE = func(c *cobra.Command, args []string) error {
		r, err := ref.Parse(args[0])
		if err != nil {
			return err
		}
		if r.Version == 0 {
			return usageError{fmt.Errorf("say which version, as in `tenon deploy %s/1`", r.Model)}
		}
		f.none = c.Flags().Changed("capture") && f.capture == 0
		if f.redact != nil && f.capture == 0 {
			return usageError{errors.New("--redact is of requests that are kept: say how many with --capture, as in --capture 0.01")}
		}
		steps, err := percents(f.canary)
		if err != nil {
			return err
		}
		limits, err := limitsOf(f.limits)
		if err != nil {
			return err
		}
		switch {
		case steps != nil && f.shadow:
			return usageError{errors.New("--canary and --shadow are two deployments: a version is one of the two")}
		case limits != nil && steps == nil:
			return usageError{errors.New("--limit is of a canary, and there is no --canary")}
		}
		server, err := a.client()
		if err != nil {
			return err
		}
		d, err := f.deployment(c.Context(), server, r, steps, limits)
		if err != nil {
			return err
		}
		if c.Flags().Changed("expected") {
			d.Expected = &f.expected
		}
		done, err := server.Deploy(c.Context(), r.Model, d)
		if err != nil {
			return err
		}
		return a.print(done, func() { a.tellDeployed(done) })
	}
	return c
}

// deployment is what the flags ask for. A canary and a shadow stand beside what
// is in force, which is therefore looked at first and expected to be still there.
func (f *deployFlags) deployment(ctx context.Context, server *client.Client, r ref.Reference, steps []int, limits *wire.Limits) (wire.Deploy, error) {
	d := wire.Deploy{Traffic: wire.Stable(r.Version), Reason: f.reason, Force: f.force}
	if steps != nil || f.shadow {
		model, err := server.Model(ctx, ref.Reference{Model: r.Model})
		if err != nil {
			return d, err
		}
		d.Traffic = wire.Traffic{}
		if now := model.Deployment; now != nil {
			d.Traffic, d.Expected = now.Traffic, &now.Number
		}
		if f.shadow {
			d.Shadow = r.Version
		} else {
			d.Canary, d.Limits = &wire.Canary{Version: r.Version, Steps: steps}, limits
		}
	}
	switch {
	case f.capture != 0:
		d.Capture = &wire.Capture{Share: f.capture, Redact: f.redact}
	case f.none:
		d.Capture = nil
	}
	if f.isolation != "" {
		d.Isolation = f.isolation
	}
	return d, nil
}

// limitsOf reads limits as a deployment's JSON has them, nil where none are given.
func limitsOf(given map[string]string) (*wire.Limits, error) {
	if len(given) == 0 {
		return nil, nil
	}
	members := map[string]any{}
	for name, value := range given {
		if _, err := strconv.ParseFloat(value, 64); err == nil {
			members[name] = json.Number(value)
		} else {
			members[name] = value
		}
	}
	body, err := json.Marshal(members)
	if err != nil {
		return nil, usageError{fmt.Errorf("--limit: %w", err)}
	}
	strict := json.NewDecoder(bytes.NewReader(body))
	strict.DisallowUnknownFields()
	limits := &wire.Limits{}
	if err := strict.Decode(limits); err != nil {
		return nil, usageError{errors.New("--limit: " + misfit(err))}
	}
	return limits, nil
}

// misfit says in the words of the command line why limits cannot be read.
func misfit(err error) string {
	if wrong := (*json.UnmarshalTypeError)(nil); errors.As(err, &wrong) {
		return fmt.Sprintf("%s does not take a %s: durations are written as 30s or 5m, shares as 0.2, counts as 100", wrong.Field, wrong.Value)
	}
	var names []string
	for f := range reflect.TypeFor[wire.Limits]().Fields() {
		name, _, _ := strings.Cut(f.Tag.Get("json"), ",")
		names = append(names, name)
	}
	return strings.Replace(err.Error(), "json: unknown field", "there is no limit", 1) + "; there are " + strings.Join(names, ", ")
}

// percents reads the steps of a canary, nil where none are given.
func percents(texts []string) ([]int, error) {
	var steps []int
	for _, text := range texts {
		share, err := strconv.Atoi(strings.TrimSuffix(strings.TrimSpace(text), "%"))
		if err != nil {
			return nil, usageError{fmt.Errorf("--canary has the step %q: write shares in percent, as in 1,5,25,50", text)}
		}
		steps = append(steps, share)
	}
	return steps, nil
}

func (a *app) tellDeployed(d wire.Deployment) {
	fmt.Fprintf(a.out, "%s (deployment %d)\n", trafficOf(d.Model+"/", d.Traffic), d.Number)
}

// trafficOf says in words what takes a model's traffic; version stands before
// every number.
func trafficOf(version string, t wire.Traffic) string {
	text := fmt.Sprintf("%s%d takes the traffic", version, t.Stable)
	if c := t.Canary; c != nil {
		text = fmt.Sprintf("%s%d takes %d %% of the traffic (step %d of %d), %s%d the rest",
			version, c.Version, c.Share(), c.Step+1, len(c.Steps), version, t.Stable)
	}
	if t.Shadow != 0 {
		text += fmt.Sprintf("; %s%d is sent copies", version, t.Shadow)
	}
	if c := t.Capture; c != nil {
		text += fmt.Sprintf("; %g %% of the requests are kept", 100*c.Share)
		if len(c.Redact) > 0 {
			text += " without " + strings.Join(c.Redact, ", ")
		}
	}
	return text
}
