package main

import (
	"fmt"
	"maps"
	"slices"
	"strconv"
	"strings"

	"github.com/spf13/cobra"

	"github.com/tenon-ml/tenon/api/wire"
)

func lsCommand(a *app) *cobra.Command {
	return &cobra.Command{
		Use:   "ls",
		Short: "List the models",
		Args:  arguments(0, 0),
		RunE: func(c *cobra.Command, _ []string) error {
			server, err := a.client()
			if err != nil {
				return err
			}
			list, err := server.Models(c.Context())
			if err != nil {
				return err
			}
			return a.print(list, func() { a.tellModels(list) })
		},
	}
}

func (a *app) tellModels(list wire.Models) {
	if len(list.Models) == 0 {
		fmt.Fprintln(a.out, "there are no models yet; register one with: tenon push FILE --deploy")
		return
	}
	var rows [][]string
	for _, m := range list.Models {
		rows = append(rows, []string{
			m.Name, versionOrDash(m.Stable), versionOrDash(m.Latest), orDash(verdict(m.Parity, m.Loosened)), aliases(m.Aliases), modelState(m),
		})
	}
	table(a.out, "MODEL STABLE LATEST PARITY ALIASES STATE", rows)
}

func versionOrDash(n int) string {
	if n == 0 {
		return "-"
	}
	return strconv.Itoa(n)
}

func aliases(of map[string]int) string {
	var parts []string
	for _, name := range slices.Sorted(maps.Keys(of)) {
		parts = append(parts, fmt.Sprintf("%s→%d", name, of[name]))
	}
	return orDash(strings.Join(parts, " "))
}

// modelState is one word, and the reason behind it where something is wrong.
func modelState(m wire.Model) string {
	switch {
	case m.Problem != "":
		return "not ready: " + m.Problem
	case m.Ready:
		return "ready"
	case m.Stable == 0:
		return "not deployed"
	default:
		return "loading"
	}
}
