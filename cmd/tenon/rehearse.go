package main

import (
	"context"
	"fmt"

	"github.com/spf13/cobra"

	"github.com/tenon-ml/tenon/api/client"
	"github.com/tenon-ml/tenon/api/wire"
	"github.com/tenon-ml/tenon/internal/ref"
)

func rehearseCommand(a *app) *cobra.Command {
	c := &cobra.Command{
		Use:   "rehearse MODEL/VERSION",
		Short: "Show how a version answers otherwise than another, before anybody is answered by it",
		Long: "Replay requests on a version and on another one, and show how the answers differ. These are requests that were captured\n" +
			"(`tenon deploy --capture`), the latest ones, or else the golden requests of the version. Nothing of it is seen by callers.",
		Args: arguments(1, 1),
	}
	against := c.Flags().String("against", "", "what it is compared with, as MODEL/VERSION or MODEL@ALIAS (default: the version in traffic)")
	limit := c.Flags().Int("limit", 0, "how many requests at most (default 1000)")
	c.RunE = func(c *cobra.Command, args []string) error {
		r, err := ref.Parse(args[0])
		if err != nil {
			return err
		}
		if r.Version == 0 {
			return usageError{fmt.Errorf("say which version, as in `tenon rehearse %s/1`", r.Model)}
		}
		if c.Flags().Changed("limit") && *limit < 1 {
			return usageError{fmt.Errorf("--limit is a number of requests, from 1")}
		}
		server, err := a.client()
		if err != nil {
			return err
		}
		asked := wire.Rehearse{Version: r.Version, Limit: *limit}
		if asked.Against, err = opponent(c.Context(), server, r.Model, *against); err != nil {
			return err
		}
		bar := newProgress(a.err, "", 0)
		found, err := server.Rehearse(c.Context(), r.Model, asked, pushWait, bar.rehearsing)
		bar.done()
		if err != nil {
			return err
		}
		return a.print(found, func() { tellDivergence(a.out, found) })
	}
	return c
}

// opponent is the number of the version to compare with; 0: the one in traffic.
func opponent(ctx context.Context, server *client.Client, model, against string) (int, error) {
	if against == "" {
		return 0, nil
	}
	r, err := ref.Parse(against)
	if err != nil {
		return 0, err
	}
	if r.Model != model {
		return 0, usageError{fmt.Errorf("--against is a version of the same model, as in %s/1 or %s@champion", model, model)}
	}
	if r.Alias == "" {
		return r.Version, nil
	}
	m, err := server.Model(ctx, r)
	return m.Aliases[r.Alias], err
}

func capturesCommand(a *app) *cobra.Command {
	c := &cobra.Command{
		Use:   "captures MODEL",
		Short: "Show how many requests of a model are kept for rehearsals, or erase them",
		Args:  arguments(1, 1),
	}
	erase := c.Flags().Bool("delete", false, "erase them")
	c.RunE = func(c *cobra.Command, args []string) error {
		r, err := ref.Parse(args[0])
		if err != nil {
			return err
		}
		if r != (ref.Reference{Model: r.Model}) {
			return usageError{fmt.Errorf("requests are kept of a model, not of a version: `tenon captures %s`", r.Model)}
		}
		server, err := a.client()
		if err != nil {
			return err
		}
		if *erase {
			gone, err := server.EraseCaptures(c.Context(), r.Model)
			if err != nil {
				return err
			}
			return a.print(gone, func() { fmt.Fprintf(a.out, "%s of %s erased\n", plural(gone.Requests, "captured request"), r.Model) })
		}
		model, err := server.Model(c.Context(), r)
		if err != nil {
			return err
		}
		kept := wire.Captures{}
		if model.Captures != nil {
			kept = *model.Captures
		}
		return a.print(kept, func() { fmt.Fprintln(a.out, capturesOf(kept)) })
	}
	return c
}

// capturesOf says in words how many requests are kept.
func capturesOf(c wire.Captures) string {
	text := plural(c.Requests, "captured request")
	if c.Since != nil {
		text += fmt.Sprintf(" since %s (%s)", when(*c.Since), megabytes(c.Bytes))
	}
	if c.Skipped > 0 {
		text += fmt.Sprintf(", %d skipped", c.Skipped)
	}
	return text
}
