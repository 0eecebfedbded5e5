package stytch

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"
)

// sdkEndpoints are those that testdata/sdk/exercise.js must have reached; the
// simulator has no other.
func sdkEndpoints() []Endpoint {
	all := make([]Endpoint, 0, len(routes))
	for _, r := range routes {
		all = append(all, r.endpoint)
	}
	return all
}

// The simulator is driven by Stytch's official Node client: it makes the requests
// and the errors that Stytch's own users see.
func TestOfficialNodeSDK(t *testing.T) {
	t.Parallel()
	node, npm := tool(t, "node"), tool(t, "npm")
	if node == "" || npm == "" {
		return
	}
	work := installSDK(t, npm)
	b := newBundle(t, Options{})
	ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
	defer cancel()
	cmd := exec.CommandContext(ctx, node, "exercise.js")
	cmd.Dir = work
	cmd.Env = append(os.Environ(), "STYTCH_URL="+b.server.URL, "STYTCH_PROJECT_ID="+testProject, "STYTCH_SECRET="+testSecret, "PASSWORD="+horse, "HASH="+horseHash)
	out, err := cmd.CombinedOutput()
	if err != nil {
		t.Fatalf("node exercise.js: %v\n%s", err, out)
	}
	counts := b.sim.Counts()
	for _, e := range sdkEndpoints() {
		if counts[e][200] == 0 {
			t.Errorf("the client had no success at %s", e)
		}
	}
	t.Logf("%s", out)
}

// tool finds a program. Without it the test is skipped, or fails where
// BACKSTITCH_REQUIRE_ALL says that nothing may be missing.
func tool(t *testing.T, name string) string {
	t.Helper()
	path, err := exec.LookPath(name)
	if err == nil {
		return path
	}
	unavailable(t, fmt.Sprintf("%s is not in PATH", name))
	return ""
}

func unavailable(t *testing.T, what string) {
	t.Helper()
	const why = "Stytch's official client (npm stytch@14.2.0) needs node and npm: "
	if os.Getenv("BACKSTITCH_REQUIRE_ALL") == "1" {
		t.Fatal(why + what)
	}
	t.Skip(why + what)
}

// installSDK installs what testdata/sdk/package-lock.json pins and returns the
// directory, which holds exercise.js as well.
func installSDK(t *testing.T, npm string) string {
	t.Helper()
	work := t.TempDir()
	for _, name := range []string{"package.json", "package-lock.json", "exercise.js"} {
		raw, err := os.ReadFile(filepath.Join("testdata", "sdk", name))
		if err == nil {
			err = os.WriteFile(filepath.Join(work, name), raw, 0o600)
		}
		if err != nil {
			t.Fatal(err)
		}
	}
	ctx, cancel := context.WithTimeout(t.Context(), 2*time.Minute)
	defer cancel()
	// npm keeps what it has fetched in the user's own cache.
	cmd := exec.CommandContext(ctx, npm, "ci", "--prefer-offline", "--ignore-scripts", "--no-audit", "--no-fund", "--omit=dev")
	cmd.Dir = work
	out, err := cmd.CombinedOutput()
	if err != nil {
		unavailable(t, fmt.Sprintf("npm ci: %v\n%s", err, out))
	}
	return work
}

// The lock file names versions and digests, and no host to fetch them from: npm
// takes the registry of whoever runs it.
func TestSDKLockFile(t *testing.T) {
	t.Parallel()
	raw, err := os.ReadFile(filepath.Join("testdata", "sdk", "package-lock.json"))
	if err != nil {
		t.Fatal(err)
	}
	lock := string(raw)
	if strings.Contains(lock, `"resolved"`) || !strings.Contains(lock, `"integrity"`) {
		t.Error("package-lock.json names a registry, or lacks a digest")
	}
	if _, err := os.Stat(filepath.Join("testdata", "sdk", "node_modules")); !errors.Is(err, fs.ErrNotExist) {
		t.Error("node_modules lies in testdata")
	}
}
