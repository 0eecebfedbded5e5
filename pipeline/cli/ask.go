package cli

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"os/user"
	"strings"

	"golang.org/x/term"
)

// errDeclined ends a command whose question was answered with no.
var errDeclined = &exit{code: ExitError, cause: errors.New("nothing was changed")}

// consent asks a question that yes answers beforehand. Without a terminal nobody
// can answer, so that is a usage error.
func (a *app) consent(ctx context.Context, yes bool, question string) error {
	if yes {
		return nil
	}
	if !term.IsTerminal(int(os.Stdin.Fd())) {
		return usage(errors.New("nobody can be asked: standard input is no terminal; --yes says yes beforehand"))
	}
	return ask(ctx, os.Stdin, a.errOut, question)
}

// ask returns nil for y or yes, errDeclined for anything else. ctx ends the wait for
// an answer; the reading goroutine ends with the process.
func ask(ctx context.Context, in io.Reader, out io.Writer, question string) error {
	fmt.Fprintf(out, "%s [y/N] ", question)
	answer := make(chan string, 1)
	go func() {
		line, err := bufio.NewReader(in).ReadString('\n')
		if err != nil && line == "" {
			line = "n" // the terminal is gone
		}
		answer <- line
	}()
	select {
	case line := <-answer:
		if s := strings.ToLower(strings.TrimSpace(line)); s == "y" || s == "yes" {
			return nil
		}
		return errDeclined
	case <-ctx.Done():
		fmt.Fprintln(out)
		return errDeclined
	}
}

// operator is who gives a command, as the ledger records it.
func operator() string {
	if u, err := user.Current(); err == nil {
		return u.Username
	}
	return "unknown"
}
