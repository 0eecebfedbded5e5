package cli

import (
	"bytes"
	"flag"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"

	"github.com/spf13/cobra"
)

var update = flag.Bool("update", false, "write the help texts into docs/commands.md")

const commandsPage = "../../docs/commands.md"

// root is the tree of commands as Main runs it.
func root(t *testing.T) *cobra.Command {
	t.Helper()
	cmd := (&app{}).root()
	cmd.InitDefaultHelpCmd()
	cmd.InitDefaultCompletionCmd()
	return cmd
}

// commands are those that a person runs, cobra's own not among them.
func commands(cmd *cobra.Command) (all []*cobra.Command) {
	for _, c := range cmd.Commands() {
		if c.Name() != "help" && c.Name() != "completion" && !c.Hidden {
			all = append(append(all, c), commands(c)...)
		}
	}
	return all
}

// help is what `--help` prints.
func help(t *testing.T, args ...string) string {
	t.Helper()
	var out, errOut bytes.Buffer
	if code := Main(append(args, "--help"), &out, &errOut); code != ExitDone || errOut.Len() > 0 {
		t.Fatalf("%v --help exits with %d: %s", args, code, errOut.String())
	}
	return out.String()
}

// docs/commands.md has each command with the help that it prints, and its exit codes.
func TestCommandsPage(t *testing.T) {
	raw, err := os.ReadFile(commandsPage)
	if err != nil {
		t.Fatal(err)
	}
	page := string(raw)
	for _, c := range commands(root(t)) {
		shown := "$ " + c.CommandPath() + " --help\n"
		_, after, ok := strings.Cut(page, shown)
		block, _, closed := strings.Cut(after, "```\n")
		if !ok || !closed {
			t.Errorf("docs/commands.md lacks a block that begins with %q", shown)
			continue
		}
		want := help(t, strings.Fields(c.CommandPath())[1:]...)
		if block != want && !*update {
			t.Errorf("docs/commands.md shows another help of `%s` (go test ./pipeline/cli -run TestCommandsPage -update writes it):\n%s", c.CommandPath(), want)
		}
		page = strings.Replace(page, shown+block, shown+want, 1)
		if !c.HasSubCommands() && !regexp.MustCompile(`(?m)^\| \[.`+regexp.QuoteMeta(c.CommandPath())+`.\]\(#[a-z-]+\) \| [^|]*\b0\b[^|]* \|`).MatchString(page) {
			t.Errorf("the table of docs/commands.md has no row with the exit codes of `%s`", c.CommandPath())
		}
	}
	if *update {
		if err := os.WriteFile(commandsPage, []byte(page), 0o644); err != nil { //nolint:gosec // a page of the docs
			t.Fatal(err)
		}
	}
}

// A command line in a page, a runbook, or in the fix of a message names a command and
// flags that exist.
func TestCommandLinesExist(t *testing.T) {
	tree := root(t)
	seen := 0
	err := filepath.WalkDir(filepath.Join("..", ".."), func(path string, d fs.DirEntry, err error) error {
		switch {
		case err != nil:
			return err
		case d.IsDir() && (d.Name() == ".git" || d.Name() == "build" || d.Name() == "testdata"):
			return fs.SkipDir
		case d.IsDir() || !slices.Contains([]string{".md", ".go"}, filepath.Ext(path)) || strings.HasSuffix(path, "_test.go"):
			return nil
		}
		text, err := os.ReadFile(path)
		for _, line := range commandLines(path, string(text)) {
			seen++
			if problem := notRun(tree, line); problem != "" {
				t.Errorf("%s: `backstitch %s`: %s", path, line, problem)
			}
		}
		return err
	})
	if err != nil || seen < 100 {
		t.Errorf("%d command lines were seen (%v)", seen, err)
	}
}

var (
	quoted = regexp.MustCompile("`backstitch ([a-z][^`]*)`")
	typed  = regexp.MustCompile(`(?m)^(?:\$ |\./)backstitch ([a-z].*)$`)
)

// commandLines are the arguments of the binary that a text shows: quoted in a sentence,
// and in a page also where a shell's line begins with it.
func commandLines(path, text string) (lines []string) {
	for _, m := range quoted.FindAllStringSubmatch(text, -1) {
		lines = append(lines, m[1])
	}
	if filepath.Ext(path) == ".md" {
		for _, m := range typed.FindAllStringSubmatch(text, -1) {
			line, _, _ := strings.Cut(m[1], " #")
			lines = append(lines, line)
		}
	}
	return lines
}

// notRun says why the binary would refuse a line's words: "" when it would not.
func notRun(tree *cobra.Command, line string) string {
	words := strings.Fields(strings.NewReplacer("[", " ", "]", " ", `\`, " ").Replace(line))
	cmd, rest, err := tree.Find(words)
	if err != nil || cmd == tree {
		return "there is no such command"
	}
	if cmd.HasSubCommands() && len(rest) > 0 && regexp.MustCompile(`^[a-z]+$`).MatchString(rest[0]) {
		return fmt.Sprintf("%s has no command %s", cmd.CommandPath(), rest[0])
	}
	for _, w := range rest {
		name, _, _ := strings.Cut(w, "=")
		name = strings.TrimRight(name, ",.;)|")
		switch {
		case name == "--help" || name == "-h":
		case strings.HasPrefix(name, "--") && cmd.Flag(name[2:]) == nil,
			len(name) == 2 && name[0] == '-' && cmd.Flags().ShorthandLookup(name[1:]) == nil:
			return fmt.Sprintf("%s has no flag %s", cmd.CommandPath(), name)
		case name == "|" || name == ">":
			return ""
		}
	}
	return ""
}
