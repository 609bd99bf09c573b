package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"strings"

	"github.com/spf13/cobra"

	"github.com/tenon-ml/tenon/api/client"
	"github.com/tenon-ml/tenon/api/wire"
	"github.com/tenon-ml/tenon/internal/ref"
	"github.com/tenon-ml/tenon/internal/reportpage"
)

func reportCommand(a *app) *cobra.Command {
	c := &cobra.Command{
		Use:   "report MODEL/VERSION|FILE.json",
		Short: "Write the report of an examination as a page",
		Long: "Write the report of a version's examination as one HTML page: what was expected against what came, the distance by\n" +
			"input column, and the rows that are furthest off. FILE.json is a report that was saved, as `tenon push --json` or\n" +
			"`tenon push --report FILE.json` leave of a refused push. With --json the report is printed in place of the page.",
		Args: arguments(1, 1),
	}
	out := c.Flags().StringP("out", "o", "", "the file to write, - for standard output (default MODEL-VERSION-report.html); one that is there is replaced")
	c.RunE = func(c *cobra.Command, args []string) error {
		r, err := a.findReport(c.Context(), args[0])
		if err != nil {
			return err
		}
		if a.json {
			return a.print(r.raw, nil)
		}
		file := *out
		if file == "" {
			file = r.file + "-report.html"
		}
		return a.writeReport(r, file)
	}
	return c
}

// foundReport is a report with what it is about.
type foundReport struct {
	wire.Report
	raw   json.RawMessage
	title string // "iris/4"
	file  string // "iris-4"
}

// findReport asks the server for a version's report, or reads a saved one.
func (a *app) findReport(ctx context.Context, name string) (*foundReport, error) {
	if strings.HasSuffix(name, ".json") {
		data, err := os.ReadFile(name)
		if err != nil {
			return nil, fmt.Errorf("the report cannot be read: %w", err)
		}
		r, err := parseReport(data)
		if err != nil {
			return nil, fmt.Errorf("%s is no report: %w; `tenon report MODEL/VERSION --json` writes one", name, err)
		}
		r.file = strings.TrimSuffix(filepath.Base(name), ".json")
		return r, nil
	}
	asked, err := ref.Parse(name)
	if err != nil {
		return nil, err
	}
	server, err := a.client()
	if err != nil {
		return nil, err
	}
	n, err := versionNamed(ctx, server, asked)
	if err != nil {
		return nil, err
	}
	if n == 0 {
		return nil, usageError{fmt.Errorf("say which version, as in `tenon report %s/1`", asked.Model)}
	}
	return serverReport(ctx, server, asked.Model, n)
}

func serverReport(ctx context.Context, server *client.Client, model string, n int) (*foundReport, error) {
	raw, err := server.RawReport(ctx, model, n)
	if err != nil {
		return nil, err
	}
	r, err := parseReport(raw)
	if err != nil {
		return nil, fmt.Errorf("the report of %s/%d cannot be read: %w", model, n, err)
	}
	r.title, r.file = fmt.Sprintf("%s/%d", model, n), fmt.Sprintf("%s-%d", model, n)
	return r, nil
}

// parseReport reads a report, or the problem of a refused push with one inside.
func parseReport(data []byte) (*foundReport, error) {
	var problem struct {
		Report  json.RawMessage `json:"report"`
		Summary *string         `json:"summary"`
	}
	if err := json.Unmarshal(data, &problem); err != nil {
		return nil, err
	}
	if problem.Summary == nil && problem.Report != nil {
		return parseReport(problem.Report)
	}
	if problem.Summary == nil {
		return nil, errors.New("it has no summary")
	}
	r := &foundReport{raw: data}
	if err := json.Unmarshal(data, &r.Report); err != nil {
		return nil, err
	}
	r.title, r.file = r.Model, r.Model
	return r, nil
}

// writeReport writes a report to the file that the user named: as JSON where
// its name ends so, else as a page.
func (a *app) writeReport(r *foundReport, file string) error {
	write := func(w io.Writer) error {
		if strings.HasSuffix(file, ".json") {
			_, err := w.Write(r.raw)
			return err
		}
		return reportpage.Write(w, r.title, &r.Report)
	}
	if file == "-" {
		return write(a.out)
	}
	if err := createOutput(file, true, func(f *os.File) error { return write(f) }); err != nil {
		return err
	}
	// To standard error where a push has more to say: its output is the version.
	_, err := fmt.Fprintf(a.err, "the report is in %s\n", file)
	return err
}
