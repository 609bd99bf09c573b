package main

import (
	"fmt"
	"io"
	"strings"

	"github.com/spf13/cobra"

	"github.com/tenon-ml/tenon/api/wire"
	"github.com/tenon-ml/tenon/internal/ref"
)

func divergenceCommand(a *app) *cobra.Command {
	return &cobra.Command{
		Use:   "divergence MODEL/VERSION",
		Short: "Show how a canary or shadow answers otherwise than the stable version",
		Args:  arguments(1, 1),
		RunE: func(c *cobra.Command, args []string) error {
			r, err := ref.Parse(args[0])
			if err != nil {
				return err
			}
			if r.Version == 0 {
				return usageError{fmt.Errorf("say which version, as in `tenon divergence %s/1`", r.Model)}
			}
			server, err := a.client()
			if err != nil {
				return err
			}
			found, err := server.Divergence(c.Context(), r.Model, r.Version)
			if err != nil {
				return err
			}
			return a.print(found, func() { tellDivergence(a.out, found) })
		},
	}
}

// tellDivergence writes how far two versions are apart, for people.
func tellDivergence(to io.Writer, d wire.Divergence) {
	fmt.Fprintf(to, "%s\n", d.Summary)
	since := " since " + when(d.Since)
	if d.Replayed == wire.ReplayedGolden {
		since = "" // they have no time
	}
	fmt.Fprintf(to, "%s%s, %d skipped\n\n", plural(d.Requests, strings.TrimSpace(d.Replayed+" request")), since, d.Skipped)
	var rows [][]string
	for _, o := range d.Outputs {
		rows = append(rows, append([]string{o.Name, o.Kind, fmt.Sprintf("%d of %d", o.Rows-o.Agree, o.Rows)}, distances(o)...))
	}
	table(to, "OUTPUT KIND DISAGREE MEAN P50 P99 MAX SCALE", rows)
	for _, o := range d.Outputs {
		tellChanges(to, o)
	}
	for _, side := range []struct {
		version int
		names   []string
	}{{d.From.Version, d.OnlyFrom}, {d.To.Version, d.OnlyTo}} {
		if len(side.names) > 0 {
			fmt.Fprintf(to, "\nonly %d has %s\n", side.version, strings.Join(side.names, ", "))
		}
	}
	fmt.Fprintln(to)
	table(to, "VERSION FAILED INVALID P50 P99", [][]string{sideRow(d.From), sideRow(d.To)})
	for _, s := range []wire.DivergenceSide{d.From, d.To} {
		for _, f := range s.Failures {
			fmt.Fprintf(to, "  %d failed %d times (%s): %s\n", s.Version, f.Count, f.Code, f.Last)
		}
	}
	for _, e := range d.Examples[:min(len(d.Examples), shownRows)] {
		tellExample(to, d, e)
	}
	if left := len(d.Examples) - shownRows; left > 0 {
		fmt.Fprintf(to, "\n%d more with --json\n", left)
	}
}

// distances words the columns of one output's distances.
func distances(o wire.DivergenceOutput) []string {
	x := o.Distance
	if x == nil {
		return []string{"-", "-", "-", "-", "-"}
	}
	return []string{
		fmt.Sprintf("%.3g", x.Mean), fmt.Sprintf("%.3g", x.P50), fmt.Sprintf("%.3g", x.P99), fmt.Sprintf("%.3g", x.Max),
		fmt.Sprintf("%.3g", o.Scale),
	}
}

func tellChanges(to io.Writer, o wire.DivergenceOutput) {
	if len(o.Changes) == 0 {
		return
	}
	fmt.Fprintf(to, "\n%s became another one:\n", o.Name)
	for _, change := range o.Changes[:min(len(o.Changes), shownRows)] {
		fmt.Fprintf(to, "  %6d  %s → %s\n", change.Count, clipped(change.From, 40), clipped(change.To, 40))
	}
}

func sideRow(s wire.DivergenceSide) []string {
	p50, p99 := "-", "-"
	if q := s.RunSeconds; q != nil {
		p50, p99 = milliseconds(q.P50), milliseconds(q.P99)
	}
	return []string{fmt.Sprint(s.Version), fmt.Sprint(s.Failed), fmt.Sprint(s.InvalidRows), p50, p99}
}

func milliseconds(seconds float64) string { return fmt.Sprintf("%.3g ms", 1e3*seconds) }

func tellExample(to io.Writer, d wire.Divergence, e wire.DivergenceExample) {
	fmt.Fprintf(to, "\nrequest %s, row %d: %s", orDash(e.RequestID), e.Row, e.Output)
	if e.Distance != nil {
		fmt.Fprintf(to, ", %s apart", distance(*e.Distance, false))
	}
	fmt.Fprintf(to, "\n  %-6d  %s\n  %-6d  %s\n", d.From.Version, clipped(string(e.From), 200), d.To.Version, clipped(string(e.To), 200))
	if len(e.Input) > 0 {
		fmt.Fprintf(to, "  input   %s\n", clipped(string(e.Input), 400))
	}
}
