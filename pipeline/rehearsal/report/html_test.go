package report

import (
	"bytes"
	"testing"
)

func html(t *testing.T, r *Report) []byte {
	t.Helper()
	var b bytes.Buffer
	if err := r.WriteHTML(&b); err != nil {
		t.Fatal(err)
	}
	return b.Bytes()
}

func TestGoldenPage(t *testing.T) {
	t.Parallel()
	page := bytes.Replace(html(t, example(t)), []byte(style), []byte("(page.css)"), 1)
	golden(t, "report.html", page)
}
