package main

import (
	"errors"
	"fmt"
	"time"

	"github.com/spf13/cobra"

	"github.com/tenon-ml/tenon/registry"
)

func gcCommand(a *app) *cobra.Command {
	c := &cobra.Command{
		Use:   "gc",
		Short: "Remove the files of a registry that no version needs",
		Long: "Remove from a registry the files of versions that are gone, where no other version has them, and what pushes that broke off left behind.\n" +
			"It asks no server, and may run beside one and beside pushes. It removes nothing where a model's log cannot be read.",
		Args: arguments(0, 0),
	}
	file := c.Flags().String("config", "config.yaml", "the server's settings, where the registry's folder is set")
	c.Flags().String("registry", "", "folder of the registry (default var/registry)")
	what := registry.Collection{}
	c.Flags().BoolVar(&what.DryRun, "dry-run", false, "say what would be removed, and change nothing")
	c.Flags().DurationVar(&what.Grace, "grace", 24*time.Hour, "leave files that were stored, or found by a push, within this time")
	c.Flags().BoolVar(&a.json, "json", false, "print what was removed as JSON")
	c.RunE = func(c *cobra.Command, _ []string) error {
		if what.Grace < 0 {
			return usageError{errors.New("--grace is a time that has passed, such as 24h or 0s")}
		}
		settings, err := readConfig(c, *file)
		if err != nil {
			return err
		}
		done, err := registry.Collect(c.Context(), settings.Registry.Root, what)
		if err == nil || len(done.Removed) > 0 { // also what was removed before an error
			err = errors.Join(a.print(done, func() { a.tellCollected(done) }), err)
		}
		if err != nil {
			return orAbsent(settings.Registry.Root, fmt.Errorf("the registry %s: %w", settings.Registry.Root, err))
		}
		return nil
	}
	return c
}

func (a *app) tellCollected(c registry.Collected) {
	counts := map[registry.RemovedKind]int{}
	for _, r := range c.Removed {
		counts[r.Kind]++
		if r.Kind == registry.RemovedView {
			fmt.Fprintln(a.out, r.Name)
			continue
		}
		fmt.Fprintf(a.out, "%s (%s)\n", r.Name, megabytes(r.Bytes))
	}
	did := "removed"
	if c.DryRun {
		did = "would remove"
	}
	if len(c.Removed) == 0 {
		fmt.Fprintln(a.out, "there is nothing to remove")
	} else {
		fmt.Fprintf(a.out, "%s %s, %s, %s, %s (%s)\n", did, plural(counts[registry.RemovedBlob], "stored file"),
			plural(counts[registry.RemovedView], "view"), plural(counts[registry.RemovedUpload], "upload"),
			plural(counts[registry.RemovedTemp], "unfinished file"), megabytes(c.Bytes))
	}
	if c.Young > 0 {
		fmt.Fprintf(a.out, "%s (%s) that no version needs stay: the grace period is not over\n", plural(c.Young, "stored file"), megabytes(c.YoungBytes))
	}
}
