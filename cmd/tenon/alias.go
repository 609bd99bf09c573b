package main

import (
	"errors"
	"fmt"

	"github.com/spf13/cobra"

	"github.com/tenon-ml/tenon/api/wire"
	"github.com/tenon-ml/tenon/internal/ref"
)

func aliasCommand(a *app) *cobra.Command {
	c := &cobra.Command{
		Use:   "alias MODEL@ALIAS [VERSION]",
		Short: "Point an alias to a version, or remove it",
		Args:  arguments(1, 2),
	}
	expected := c.Flags().Int("expected", 0, "refuse unless the alias points to this version now (0: to none)")
	remove := c.Flags().Bool("delete", false, "remove the alias")
	c.RunE = func(c *cobra.Command, args []string) error {
		r, err := ref.Parse(args[0])
		if err != nil {
			return err
		}
		if r.Alias == "" {
			return usageError{fmt.Errorf("say which alias, as in `tenon alias %s@champion 1`", r.Model)}
		}
		if *remove != (len(args) == 1) {
			return usageError{errors.New("give a VERSION to point the alias to, or --delete")}
		}
		if *remove && c.Flags().Changed("expected") {
			return usageError{errors.New("--expected goes with a VERSION, not with --delete")}
		}
		if *remove {
			return a.deleteAlias(c, r)
		}
		set := wire.SetAlias{}
		if set.Version, err = ref.ParseVersion(args[1]); err != nil {
			return err
		}
		if c.Flags().Changed("expected") {
			set.Expected = expected
		}
		return a.setAlias(c, r, set)
	}
	return c
}

func (a *app) setAlias(c *cobra.Command, r ref.Reference, set wire.SetAlias) error {
	server, err := a.client()
	if err != nil {
		return err
	}
	done, err := server.SetAlias(c.Context(), r.Model, r.Alias, set)
	if err != nil {
		return err
	}
	return a.print(done, func() { fmt.Fprintf(a.out, "%s points to %s/%d\n", r, done.Model, done.Version) })
}

func (a *app) deleteAlias(c *cobra.Command, r ref.Reference) error {
	server, err := a.client()
	if err != nil {
		return err
	}
	done, err := server.DeleteAlias(c.Context(), r.Model, r.Alias)
	if err != nil {
		return err
	}
	return a.print(done, func() { fmt.Fprintf(a.out, "%s is gone\n", r) })
}
