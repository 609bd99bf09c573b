package main

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"

	"github.com/spf13/cobra"

	"github.com/tenon-ml/tenon/registry"
)

func verifyCommand(a *app) *cobra.Command {
	c := &cobra.Command{
		Use:   "verify",
		Short: "Read a registry from end to end and name what is damaged",
		Long: "Read every record and every stored file of a registry, and name what is damaged and what to do about it.\n" +
			"It asks no server and changes nothing, so it may run beside one. It exits with 1 where something is damaged.",
		Args: arguments(0, 0),
	}
	file := c.Flags().String("config", "config.yaml", "the server's settings, where the registry's folder is set")
	c.Flags().String("registry", "", "folder of the registry (default var/registry)")
	c.Flags().BoolVar(&a.json, "json", false, "print the findings as JSON")
	c.RunE = func(c *cobra.Command, _ []string) error {
		settings, err := readConfig(c, *file)
		if err != nil {
			return err
		}
		return a.verify(c.Context(), settings.Registry.Root)
	}
	return c
}

// orAbsent is err, or where there is no such folder, what to do about that: the
// command was most often typed in another one.
func orAbsent(root string, err error) error {
	if _, missing := os.Lstat(root); errors.Is(missing, fs.ErrNotExist) {
		return fmt.Errorf("there is no registry %s here: name its folder with --registry", root)
	}
	return err
}

func (a *app) verify(ctx context.Context, root string) error {
	bar := newProgress(a.err, "", 0)
	found, err := registry.Verify(ctx, root, func(v registry.Verified) {
		bar.say(fmt.Sprintf("verifying: %d records, %d files, %s", v.Records, v.Blobs, megabytes(v.Bytes)))
	})
	bar.done()
	if err != nil {
		return orAbsent(root, fmt.Errorf("the registry %s cannot be verified: %w", root, err))
	}
	if err := a.print(found, func() { a.tellVerified(found) }); err != nil {
		return err
	}
	if n := len(found.Findings); n > 0 {
		return fmt.Errorf("%s in the registry %s", plural(n, "finding"), root)
	}
	return nil
}

func (a *app) tellVerified(v registry.Verified) {
	for _, f := range v.Findings {
		subject := f.Model
		switch {
		case f.Version > 0:
			subject = fmt.Sprintf("%s/%d", f.Model, f.Version)
		case f.Model == "":
			subject = "no model"
		}
		fmt.Fprintf(a.out, "%s: %s\n  %s\n", subject, f.What, f.Remedy)
	}
	if len(v.Findings) == 0 {
		fmt.Fprintf(a.out, "nothing is damaged: %s, %s, %s, %s (%s)\n", plural(v.Models, "model"), plural(v.Versions, "version"),
			plural(v.Records, "record"), plural(v.Blobs, "stored file"), megabytes(v.Bytes))
	}
}

func plural(n int, what string) string {
	if n == 1 {
		return "1 " + what
	}
	return fmt.Sprintf("%d %ss", n, what)
}
