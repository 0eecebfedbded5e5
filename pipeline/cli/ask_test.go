package cli

import (
	"bytes"
	"context"
	"errors"
	"io"
	"strings"
	"testing"
)

func TestAskTakesOnlyAYesForOne(t *testing.T) {
	t.Parallel()
	for answer, want := range map[string]error{"y\n": nil, "YES\n": nil, " y \n": nil, "\n": errDeclined, "n\n": errDeclined, "yeah\n": errDeclined, "": errDeclined} {
		var out bytes.Buffer
		if err := ask(context.Background(), strings.NewReader(answer), &out, "Really?"); !errors.Is(err, want) {
			t.Errorf("%q: %v, want %v", answer, err, want)
		}
		if out.String() != "Really? [y/N] " {
			t.Errorf("asked %q", out.String())
		}
	}
}

func TestAskEndsWithItsContext(t *testing.T) {
	t.Parallel()
	ctx, cancel := context.WithCancel(context.Background())
	cancel()
	in, end := io.Pipe()
	defer end.Close()
	if err := ask(ctx, in, io.Discard, "Really?"); !errors.Is(err, errDeclined) {
		t.Errorf("an interrupted question: %v", err)
	}
}
