package deploy

import (
	"context"
	"debug/elf"
	"errors"
	"fmt"
	"net/http/httptest"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"github.com/backstitch/backstitch/integration/testenv"
	"github.com/backstitch/backstitch/pipeline/sandbox/postgres"
	simulator "github.com/backstitch/backstitch/pipeline/sandbox/stytch"
)

var built struct {
	once sync.Once
	dir  string
	out  []byte
	err  error
}

// binary is what the container file's build stage makes, by its own command.
func binary(t *testing.T) string {
	t.Helper()
	file := read(t, "Containerfile")
	run := regexp.MustCompile(`(?m)^RUN (CGO_ENABLED=0 go build .*) -o /out/backstitch \.$`).FindStringSubmatch(file)
	if run == nil {
		t.Fatal("the container file does not build the binary")
	}
	_, last, _ := strings.Cut(file, "FROM scratch\n")
	for _, want := range []string{"COPY --from=build /out/backstitch /backstitch\n", "USER 65532:65532\n", `ENTRYPOINT ["/backstitch"]`} {
		if !strings.Contains(last, want) {
			t.Errorf("the image lacks %s", want)
		}
	}
	built.once.Do(func() {
		if built.dir, built.err = os.MkdirTemp("", "backstitch-image-"); built.err == nil {
			build := exec.Command("sh", "-c", run[1]+" -o "+filepath.Join(built.dir, "backstitch")+" .")
			build.Dir = ".."
			built.out, built.err = build.CombinedOutput()
		}
	})
	if built.err != nil {
		t.Fatalf("%s: %v\n%s", run[1], built.err, built.out)
	}
	return filepath.Join(built.dir, "backstitch")
}

// image is what the container file's last stage holds, in a folder of its own.
func image(t *testing.T) (root string) {
	t.Helper()
	root = t.TempDir()
	if err := os.WriteFile(filepath.Join(root, "backstitch"), []byte(read(t, binary(t))), 0o755); err != nil {
		t.Fatal(err)
	}
	return root
}

// The binary needs no library: an empty image can run it.
func TestBinaryIsStatic(t *testing.T) {
	t.Parallel()
	f, err := elf.Open(binary(t))
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	libraries, err := f.ImportedLibraries()
	if err != nil || len(libraries) > 0 {
		t.Errorf("it imports %v (%v)", libraries, err)
	}
	for _, p := range f.Progs {
		if p.Type == elf.PT_INTERP {
			t.Error("it wants a loader")
		}
	}
}

// What compose.yaml starts, started without containers: its two servers with their
// settings and scripts, a real Kafka, a registry, the simulator, and the image's
// binary with the compose file's configuration, as the image's user, in a root that
// has nothing but the binary and in which it may write nothing.
func TestComposeRuns(t *testing.T) {
	t.Parallel()
	if os.Geteuid() != 0 {
		testenv.Missing(t, "root, to become another user in another root")
	}
	c := compose(t)
	name := testenv.Name(t)
	legacy := composedServer(t, c, "legacy", map[string]string{"acme": name})
	ledger := composedServer(t, c, "ledger", nil)
	stytch := httptest.NewServer(simulator.New(simulator.Options{
		ProjectID: "project-test-00000000-0000-4000-8000-000000000000", Secret: "secret-test-sandbox", Roles: []string{"admin", "member"},
	}))
	t.Cleanup(stytch.Close)
	root := image(t)
	dir := filepath.Join(root, "run", "secrets")
	if err := os.MkdirAll(dir, 0o755); err != nil {
		t.Fatal(err)
	}
	for _, secret := range c.Services["backstitch"].Secrets {
		if err := os.WriteFile(filepath.Join(dir, secret), []byte(read(t, c.Secrets[secret].File)), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	yaml := replaced(t, read(t, "compose/backstitch.yaml"), "name: acme", "name: "+name, "legacy:5432", legacy, "ledger:5432", ledger,
		"kafka:19092", strings.Join(testenv.Kafka(t), ", "), "http://registry:8081", testenv.Registry(t), "http://simulator:8711", stytch.URL,
		"0.0.0.0:8710", "127.0.0.1:0")
	if err := os.WriteFile(filepath.Join(root, "backstitch.yaml"), []byte(yaml), 0o644); err != nil {
		t.Fatal(err)
	}
	run := func(args ...string) (string, int) {
		t.Helper()
		ctx, cancel := context.WithTimeout(t.Context(), 3*time.Minute)
		defer cancel()
		cmd := exec.CommandContext(ctx, "/backstitch", append(args, "-c", "/backstitch.yaml")...)
		cmd.Env, cmd.Dir = []string{}, "/"
		cmd.SysProcAttr = &syscall.SysProcAttr{Chroot: root, Credential: &syscall.Credential{Uid: 65532, Gid: 65532}}
		for path := root; ; path = filepath.Dir(path) { // the test's folder is root's alone
			if path == os.TempDir() {
				break
			}
			if err := os.Chmod(path, 0o755); err != nil {
				t.Fatal(err)
			}
		}
		out, err := cmd.CombinedOutput()
		var exit *exec.ExitError
		if err != nil && !errors.As(err, &exit) {
			t.Fatalf("%v: %v\n%s", args, err, out)
		}
		return string(out), cmd.ProcessState.ExitCode()
	}
	if out, code := run("check"); code != 0 {
		t.Fatalf("check exits with %d:\n%s", code, out)
	}
	if out, code := run("run", "--until-caught-up"); code != 3 || !strings.Contains(out, "caught up; 1 parked, 0 blocked") {
		t.Errorf("run exits with %d, want 3 with the one address that is none:\n%s", code, out)
	}
	if out, code := run("status"); code != 0 || !strings.Contains(out, "parked") {
		t.Errorf("status exits with %d:\n%s", code, out)
	}
	if out, code := run("teardown"); code != 0 {
		t.Errorf("teardown exits with %d:\n%s", code, out)
	}
}

// composedServer starts a PostgreSQL as the service says, runs its scripts as the
// image does, in their order, and returns host:port.
func composedServer(t *testing.T, c *composition, name string, replace map[string]string) string {
	t.Helper()
	s := c.Services[name]
	settings := map[string]string{}
	for i, word := range s.Command {
		if key, value, ok := strings.Cut(word, "="); ok && s.Command[i-1] == "-c" {
			settings[key] = value
		}
	}
	server := testenv.OwnPostgres(t, settings)
	database := s.Environment["POSTGRES_DB"]
	if database == "" {
		database = "postgres"
	} else if _, err := server.CreateDatabase(t.Context(), database); err != nil {
		t.Fatal(err)
	}
	scripts := 0
	for _, v := range s.Volumes {
		from, to, _ := strings.Cut(v, ":")
		if !strings.HasPrefix(to, "/docker-entrypoint-initdb.d/") {
			continue
		}
		if scripts++; !strings.HasPrefix(to, fmt.Sprintf("/docker-entrypoint-initdb.d/%d-", scripts)) {
			t.Errorf("%s: %s does not come in its turn", name, to)
		}
		script(t, c, server, database, from, replace)
	}
	host := strings.Split(strings.Split(server.URL(database), "@")[1], "/")[0]
	return host
}

func script(t *testing.T, c *composition, server *postgres.Server, database, path string, replace map[string]string) {
	t.Helper()
	sql := read(t, path)
	for old, with := range replace {
		sql = strings.ReplaceAll(sql, old, with)
	}
	// What psql does with its two variables of a password's script.
	set := regexp.MustCompile("(?m)^\\\\set password `cat /run/secrets/(.*)`$")
	if secret := set.FindStringSubmatch(sql); secret != nil {
		password := strings.TrimSpace(read(t, c.Secrets[secret[1]].File))
		sql = strings.ReplaceAll(set.ReplaceAllString(sql, ""), ":'password'", "'"+password+"'")
	}
	apply(t, server.URL(database), sql)
}
