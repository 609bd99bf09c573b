package main

import (
	"io"
	"os"
	"regexp"
	"slices"
	"strings"
	"testing"

	"github.com/spf13/cobra"
	"github.com/spf13/pflag"
)

// TestCommandLinePage holds docs/cli.md and the command tree together: a
// section for each command with its usage, and a row for each flag.
func TestCommandLinePage(t *testing.T) {
	page, err := os.ReadFile("../../docs/cli.md")
	if err != nil {
		t.Fatal(err)
	}
	sections := map[string]string{}
	for _, text := range strings.Split(string(page), "\n## ")[1:] {
		title, body, _ := strings.Cut(text, "\n")
		sections[title] = body
	}
	shared := flagRows(sections["Flags of all commands that ask a server"])
	if !slices.Equal(shared, []string{"json", "server"}) {
		t.Errorf("the shared flags are %v", shared)
	}
	root := newRoot(streams{strings.NewReader(""), io.Discard, io.Discard}, fakeEngine)
	root.InitDefaultHelpCmd()
	root.InitDefaultCompletionCmd()
	for _, c := range root.Commands() {
		if c.Hidden {
			continue
		}
		title := "`tenon " + c.Use + "`"
		body, found := sections[title]
		if !found {
			t.Errorf("docs/cli.md has no section %s", title)
			continue
		}
		delete(sections, title)
		if got, want := flagRows(body), flagsOf(c, shared); !slices.Equal(got, want) {
			t.Errorf("docs/cli.md gives %s the flags %v, and the program %v", title, got, want)
		}
	}
	for title := range sections {
		if strings.HasPrefix(title, "`") {
			t.Errorf("docs/cli.md has the section %s, and the program no such command", title)
		}
	}
	for code, row := range map[int]string{exitFailure: "| `1` |", exitUsage: "| `2` |", exitParity: "| `3` |"} {
		if !strings.Contains(sections["Exit codes"], row) {
			t.Errorf("docs/cli.md lacks the exit code %d", code)
		}
	}
}

// TestPagesShowCommandsThatExist: what a page shows is a command line that the
// program understands.
func TestPagesShowCommandsThatExist(t *testing.T) {
	line := regexp.MustCompile(`(?m)^\$ (?:\S*/)?tenon (.*)$`)
	word := regexp.MustCompile(`'[^']*'|\S+`)
	for _, page := range []string{"README.md", "docs/cli.md", "docs/operations.md"} {
		text, err := os.ReadFile("../../" + page)
		if err != nil {
			t.Fatal(err)
		}
		shown := line.FindAllStringSubmatch(string(text), -1)
		if len(shown) == 0 {
			t.Errorf("%s shows no command", page)
		}
		for _, m := range shown {
			root := newRoot(streams{strings.NewReader(""), io.Discard, io.Discard}, fakeEngine)
			c, args, err := root.Find(word.FindAllString(m[1], -1))
			if err == nil {
				err = c.ParseFlags(args)
			}
			if err == nil {
				err = c.ValidateArgs(c.Flags().Args())
			}
			if err != nil || c == root {
				t.Errorf("%s: `tenon %s`: %v", page, m[1], err)
			}
		}
	}
}

// flagsOf lists a command's own flags; those that all commands which ask a
// server have are described once.
func flagsOf(c *cobra.Command, shared []string) (names []string) {
	asksServer := c.Flags().Lookup("server") != nil
	c.Flags().VisitAll(func(f *pflag.Flag) {
		if f.Name != "help" && !(asksServer && slices.Contains(shared, f.Name)) {
			names = append(names, f.Name)
		}
	})
	slices.Sort(names)
	return names
}

var flagRow = regexp.MustCompile("(?m)^\\| `--([a-z-]+)`")

func flagRows(section string) (names []string) {
	for _, m := range flagRow.FindAllStringSubmatch(section, -1) {
		names = append(names, m[1])
	}
	slices.Sort(names)
	return names
}
