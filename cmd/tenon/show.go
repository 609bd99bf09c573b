package main

import (
	"encoding/json"
	"errors"
	"fmt"
	"strings"
	"time"
	"unicode"

	"github.com/spf13/cobra"

	"github.com/tenon-ml/tenon/api/client"
	"github.com/tenon-ml/tenon/api/wire"
	"github.com/tenon-ml/tenon/internal/fault"
	"github.com/tenon-ml/tenon/internal/ref"
	"github.com/tenon-ml/tenon/internal/tensor"
)

func showCommand(a *app) *cobra.Command {
	return &cobra.Command{
		Use:   "show MODEL[/VERSION]",
		Short: "Show a model with its versions, or one version",
		Args:  arguments(1, 1),
		RunE: func(c *cobra.Command, args []string) error {
			r, err := ref.Parse(args[0])
			if err != nil {
				return err
			}
			if r.Version > 0 {
				return a.showVersion(c, r)
			}
			return a.showModel(c, r)
		},
	}
}

// shown is what --json prints of a model.
type shown struct {
	wire.Model
	List []wire.Version `json:"versions_list"`
}

func (a *app) showModel(c *cobra.Command, r ref.Reference) error {
	server, err := a.client()
	if err != nil {
		return err
	}
	model, err := server.Model(c.Context(), r)
	if err != nil {
		return err
	}
	versions, err := server.Versions(c.Context(), r.Model)
	if err != nil {
		return err
	}
	return a.print(shown{model, versions.Versions}, func() {
		fmt.Fprintf(a.out, "%s: %s\n", model.Name, modelState(model))
		if d := model.Deployment; d != nil {
			fmt.Fprintf(a.out, "deployment %d: %s, by %s at %s%s\n", d.Number, trafficOf(d.Model+"/", d.Traffic), d.Actor, when(d.Created), because(d.Reason))
		}
		if t := model.Trial; t != nil {
			fmt.Fprintf(a.out, "canary %d: at %d %% since %s, %s\n", t.Version, t.Share, when(t.Since), t.State)
		}
		if kept := model.Captures; kept != nil {
			fmt.Fprintf(a.out, "captures: %s\n", capturesOf(*kept))
		}
		a.tellProbe(model.Probe)
		a.tellSignature(model.Signature)
		fmt.Fprintln(a.out)
		a.tellVersions(versions.Versions)
	})
}

func because(reason string) string {
	if reason == "" {
		return ""
	}
	return ": " + reason
}

func (a *app) tellVersions(versions []wire.Version) {
	var rows [][]string
	for _, v := range versions {
		rows = append(rows, []string{
			fmt.Sprint(v.Version), versionState(v), verdict(v.Parity, v.Loosened), megabytes(v.Size), when(v.Created), v.Actor, shortDigest(v.Digest),
		})
	}
	table(a.out, "VERSION STATE PARITY SIZE CREATED BY DIGEST", rows)
}

func versionState(v wire.Version) string {
	switch {
	case v.Problem != "" && !v.Loaded:
		return "unloadable"
	case v.Role != "":
		return v.Role
	case v.Loaded:
		return "loaded"
	default:
		return "registered"
	}
}

func (a *app) showVersion(c *cobra.Command, r ref.Reference) error {
	server, err := a.client()
	if err != nil {
		return err
	}
	v, err := server.Version(c.Context(), r.Model, r.Version)
	if err != nil {
		return err
	}
	report, err := server.Report(c.Context(), r.Model, r.Version)
	if err != nil && !hasNoReport(err) {
		return err
	}
	return a.print(v, func() {
		fmt.Fprintf(a.out, "%s/%d: %s\n", v.Model, v.Version, versionState(v))
		if v.Problem != "" {
			fmt.Fprintf(a.out, "problem:   %s\n", v.Problem)
		}
		fmt.Fprintf(a.out, "parity:    %s\ndigest:    %s\nsize:      %s\ncreated:   %s by %s\n",
			verdict(v.Parity, v.Loosened), v.Digest, megabytes(v.Size), when(v.Created), v.Actor)
		if report.Summary != "" {
			fmt.Fprintf(a.out, "report:    %s\n", report.Summary)
		}
		if v.Isolation != "" {
			fmt.Fprintf(a.out, "isolation: %s (%s)\n", v.Isolation, v.IsolationReason)
		}
		a.tellProbe(v.Probe)
		for _, note := range v.Notes {
			fmt.Fprintf(a.out, "note:      %s\n", note)
		}
		if v.Description != "" {
			fmt.Fprintf(a.out, "about:     %s\n", printable(v.Description))
		}
		for name, value := range v.Metrics {
			fmt.Fprintf(a.out, "metric:    %s = %v\n", name, value)
		}
		a.tellSignature(v.Signature)
	})
}

// tellProbe says what the last probe of a live version found.
func (a *app) tellProbe(p *wire.Probe) {
	switch {
	case p == nil:
	case p.OK:
		fmt.Fprintf(a.out, "probe:     as its pipeline did, at %s\n", when(p.At))
	default:
		fmt.Fprintf(a.out, "probe:     NOT as its pipeline did, at %s: %s\n", when(p.At), p.Summary)
	}
}

// hasNoReport reports whether a version was never compared, or its report was
// damaged; the rest of it can be shown.
func hasNoReport(err error) bool {
	var problem *client.Problem
	return errors.As(err, &problem) && (problem.Code == string(fault.ReportNotFound) || problem.Code == string(fault.Quarantined))
}

func (a *app) tellSignature(s *wire.Signature) {
	if s == nil {
		return
	}
	var rows [][]string
	for _, in := range s.Inputs {
		note := ""
		if in.Missing == "allowed" {
			note = "may be null"
		}
		if in.Unknown == "refuse" {
			note = strings.TrimPrefix(note+", only "+listed(in.Domain), ", ")
		}
		if in.Minimum != "" || in.Maximum != "" {
			note = strings.TrimPrefix(note+", "+within(in.Minimum, in.Maximum), ", ")
		}
		rows = append(rows, []string{in.Name, typed(in), "input", orDash(note)})
	}
	for _, name := range s.Unused {
		rows = append(rows, []string{name, "-", "unused", "may be left out, any value is passed over"})
	}
	for _, out := range s.Outputs {
		rows = append(rows, []string{out.Name, typed(out), out.Kind, orDash(listed(out.Classes))})
	}
	fmt.Fprintln(a.out)
	table(a.out, "NAME TYPE KIND NOTE", rows)
}

// within writes a range of numbers, of which one side may be open.
func within(minimum, maximum json.Number) string {
	switch {
	case maximum == "":
		return "at least " + minimum.String()
	case minimum == "":
		return "at most " + maximum.String()
	default:
		return minimum.String() + " to " + maximum.String()
	}
}

func typed(c wire.Column) string {
	if len(c.Shape) == 0 {
		return c.Type
	}
	return c.Type + tensor.FormatShape(c.Shape)
}

// listed writes at most ten values.
func listed(values []any) string {
	const most = 10
	var parts []string
	for i, v := range values {
		if i == most {
			parts = append(parts, fmt.Sprintf("… (%d)", len(values)))
			break
		}
		text, err := json.Marshal(v)
		if err != nil {
			continue
		}
		parts = append(parts, string(text))
	}
	return strings.Join(parts, " ")
}

func when(t time.Time) string { return t.Local().Format("2006-01-02 15:04:05") }

// printable is somebody's text without what a terminal would obey.
func printable(s string) string {
	return strings.Map(func(r rune) rune {
		if unicode.IsControl(r) {
			return '\uFFFD'
		}
		return r
	}, s)
}
