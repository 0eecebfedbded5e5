package script

import (
	"flag"
	"os"
	"path/filepath"
	"runtime"
	"strconv"
	"testing"

	"github.com/rogpeppe/go-internal/testscript"

	"github.com/backstitch/backstitch/integration/harness"
	"github.com/backstitch/backstitch/integration/testenv"
)

var update = flag.Bool("update", false, "write what the commands print into the scripts")

// atOnce is how many scripts run side by side: they wait for servers and for the
// pipeline's own pauses far longer than they compute.
const atOnce = 5

func TestMain(m *testing.M) {
	flag.Parse()
	if err := flag.Set("test.parallel", strconv.Itoa(max(atOnce, runtime.GOMAXPROCS(0)))); err != nil {
		panic(err)
	}
	testenv.Main(m)
}

// Every command: its output, where it goes, and its exit code.
func TestScripts(t *testing.T) {
	t.Parallel()
	binary := harness.Binary(t)
	testscript.Run(t, testscript.Params{
		Dir:                filepath.Join("testdata", "script"),
		UpdateScripts:      *update,
		RequireUniqueNames: true,
		Cmds:               commands,
		Setup: func(env *testscript.Env) error {
			tb, ok := env.T().(testing.TB)
			if !ok {
				t.Fatal("testscript has another T than testing's")
			}
			env.Setenv("PATH", filepath.Dir(binary)+string(os.PathListSeparator)+env.Getenv("PATH"))
			for _, name := range []string{"BACKSTITCH_POSTGRES_BIN", "GOCOVERDIR"} {
				env.Setenv(name, os.Getenv(name))
			}
			env.Setenv("TMPDIR", os.TempDir()) // PostgreSQL's own user may not look into ours
			schemas, err := filepath.Abs(filepath.Join("..", "..", "pipeline", "discover", "testdata"))
			if err != nil {
				return err
			}
			env.Setenv("SCHEMAS", schemas)
			env.Values[stageKey{}] = &stage{TB: tb, dir: env.WorkDir, variables: env.Vars, processes: map[string]*harness.Process{}}
			return nil
		},
	})
}
