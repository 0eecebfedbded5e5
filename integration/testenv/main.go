package testenv

import (
	"os"
	"testing"

	"go.uber.org/goleak"
)

// Main runs a package's tests and fails when a goroutine outlives them. It ends
// the server that a plain `go test` started for itself.
func Main(m *testing.M, ignore ...goleak.Option) {
	goleak.VerifyTestMain(m, append(ignore,
		goleak.IgnoreAnyFunction("github.com/backstitch/backstitch/pipeline/sandbox/process.Start.func1"),
		goleak.IgnoreAnyFunction("os/exec.(*Cmd).writerDescriptor.func1"),
		goleak.IgnoreAnyFunction("database/sql.(*DB).connectionOpener"), // goose's
		goleak.Cleanup(func(code int) {
			if own.server != nil {
				_ = own.server.Stop() // it dies with this process anyway
			}
			os.Exit(code)
		}))...)
}
