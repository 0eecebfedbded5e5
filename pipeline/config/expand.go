package config

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"regexp"
	"strings"
)

var (
	reference = regexp.MustCompile(`\$?\$\{[^}]*\}?`)
	variable  = regexp.MustCompile(`^[A-Za-z_][A-Za-z0-9_]*$`)
)

// expand replaces ${NAME} by the environment's value and ${file:PATH} by a file's
// content without its last line break; $${ stands for ${ itself. Errors name
// variables and paths, never values.
func expand(s string, lookup func(string) (string, bool)) (string, error) {
	var errs []error
	out := reference.ReplaceAllStringFunc(s, func(ref string) string {
		if strings.HasPrefix(ref, "$$") {
			return ref[1:]
		}
		inner, closed := strings.CutSuffix(ref[2:], "}")
		if !closed {
			errs = append(errs, errors.New("a reference ${ is not closed by }"))
			return ""
		}
		v, err := resolve(inner, lookup)
		errs = append(errs, err)
		return v
	})
	return out, errors.Join(errs...)
}

// referenceFix says what to do about an error of expand.
func referenceFix(err error) string {
	switch {
	case errors.Is(err, fs.ErrPermission):
		return "Let the user that runs Backstitch read the file"
	case errors.Is(err, fs.ErrNotExist):
		return "Put the file there, or name the right one"
	}
	return "Set it where Backstitch runs"
}

func resolve(name string, lookup func(string) (string, bool)) (string, error) {
	if path, ok := strings.CutPrefix(name, "file:"); ok {
		b, err := os.ReadFile(path)
		if err != nil {
			return "", fmt.Errorf("read the referenced file: %w", err)
		}
		return strings.TrimSuffix(strings.TrimSuffix(string(b), "\n"), "\r"), nil
	}
	if !variable.MatchString(name) {
		return "", errors.New("a reference is neither ${NAME} nor ${file:PATH}; write $${ for a literal ${")
	}
	v, ok := lookup(name)
	if !ok {
		return "", fmt.Errorf("the environment variable %s is not set", name)
	}
	return v, nil
}
