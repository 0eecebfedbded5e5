package script

import (
	"cmp"
	"os/user"
	"regexp"
	"slices"
	"strings"

	"github.com/rogpeppe/go-internal/testscript"

	"github.com/backstitch/backstitch/integration/harness"
)

// mask makes what a command printed the same in every run: the names and addresses of
// a world become acme's, and what a clock, a log position or a busy machine decides
// becomes a word for it.
type mask struct {
	names []string // old and new, one after the other
}

// volatile is what differs from run to run whatever the world is called, in order.
var volatile = []struct {
	old *regexp.Regexp
	new string
}{
	{regexp.MustCompile(`\d{4}-\d\d-\d\d[T ]\d\d:\d\d(:\d\d(\.\d+)?)?( UTC|Z|[+-]\d\d:\d\d)?`), "TIME"},
	{regexp.MustCompile(`\b[0-9a-f]{8}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{12}\b`), "UUID"},
	{regexp.MustCompile(`\b[0-9A-F]{1,8}/[0-9A-F]{6,8}\b`), "LSN"},
	{regexp.MustCompile(`\b(127\.0\.0\.1|localhost):\d{4,5}\b`), "ADDRESS"},
	{regexp.MustCompile(`\b\d+ (bytes|kB|MB|GB)\b`), "N bytes"},
	{regexp.MustCompile(`\b[\d.]+ s since\b`), "N s since"},
	{regexp.MustCompile(`("(\w+_)?(bytes|bytes_per_hour|seconds|offset|per_second|revision)": ?)[\d.]+`), "${1}0"},
	{regexp.MustCompile(`\bafter (\d+m)?[\d.]+m?s\b`), "after SOME TIME"},
	{regexp.MustCompile(`\b\d+ [A-Z][a-z]+ \d{4}, \d\d:\d\d:\d\d UTC`), "TIME"},
	{regexp.MustCompile(`,"duration_ms":\d+`), ""}, // under 1 ms it is left out
	{regexp.MustCompile(`\b([0-9a-f]{12}|[0-9a-f]{64})\b`), "DIGEST"},
	{regexp.MustCompile(`\brevision \d+`), "revision N"},
	{regexp.MustCompile(`[0-9a-f]{8}-[0-9a-f]{16}-[0-9a-f]{16}-[0-9a-f]{8}`), "VERSION"},
	// a table's columns are as wide as the names and numbers in them
	{regexp.MustCompile(`(\S)  +`), "$1  "},
	{regexp.MustCompile(`(?m) +$`), ""},
}

// newMask knows the world's names.
func newMask(ts *testscript.TestScript, w *harness.World, dir string) mask {
	names := map[string]string{
		w.Prefix: "acme", w.Database(): "legacy", w.LedgerPool.Config().ConnConfig.Database: "ledger",
		host(ts, w.Legacy): "postgres:5432", strings.Join(w.Brokers, ","): "kafka:9092", host(ts, w.Registry): "registry:8081", host(ts, w.StytchURL): "stytch:8711",
		dir + "/": "",
	}
	if u, err := user.Current(); err == nil {
		names[" by "+u.Username], names[`"by": "`+u.Username] = " by operator", `"by": "operator`
	}
	var m mask
	for old, name := range names {
		m.names = append(m.names, old+"\x00"+name)
	}
	// a name may be the beginning of another: the longest first
	slices.SortFunc(m.names, func(a, b string) int { return cmp.Compare(strings.Index(b, "\x00"), strings.Index(a, "\x00")) })
	m.names = strings.Split(strings.Join(m.names, "\x00"), "\x00")
	return m
}

func (m mask) apply(text string) string {
	text = strings.NewReplacer(m.names...).Replace(text)
	for _, v := range volatile {
		text = v.old.ReplaceAllString(text, v.new)
	}
	return text
}
