package config

import (
	"fmt"
	"strings"

	"github.com/backstitch/backstitch/schemas"
)

// Problem is something in the file that must change.
type Problem struct {
	Where string // file:line
	What  string // what is wrong, without values
	Fix   string
}

// String is the problem in one line.
func (p Problem) String() string {
	s := p.Where + ": " + p.What
	if p.Fix != "" {
		s += ". " + p.Fix
	}
	return s
}

// Error is everything that is wrong with a file, in its order.
type Error struct{ Problems []Problem }

// Error lists the problems, one a line.
func (e *Error) Error() string {
	lines := make([]string, len(e.Problems))
	for i, p := range e.Problems {
		lines[i] = p.String()
	}
	return strings.Join(lines, "\n")
}

// File is the path that the configuration was read from.
func (c *Config) File() string { return c.file }

// Where says where a key stands, as file:line, so that what is found later can
// point at it: Where("members.select"), Where("members.routes.users"). A key that
// was left out is where its block is; the table of a route may be written in any
// form that SQL has.
func (c *Config) Where(path string) string {
	if line := c.line(path); line > 0 {
		return fmt.Sprintf("%s:%d", c.file, line)
	}
	return c.file
}

func (c *Config) line(path string) int {
	if head, table, ok := strings.Cut(path, ".routes."); ok {
		if t, err := schemas.ParseTable(table); err == nil {
			if line, ok := c.lines[routePath(head, t)]; ok {
				return line
			}
		}
		path = head + ".routes"
	}
	for {
		if line, ok := c.lines[path]; ok {
			return line
		}
		i := strings.LastIndexByte(path, '.')
		if i < 0 {
			return 0
		}
		path = path[:i]
	}
}

func routePath(head string, t schemas.Table) string { return head + ".routes." + t.SQL() }
