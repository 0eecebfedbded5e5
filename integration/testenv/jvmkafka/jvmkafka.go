// Package jvmkafka runs a real Apache Kafka broker on the local JVM, assembled
// from Maven Central, for tests on machines without a container engine.
package jvmkafka

import (
	"bytes"
	"context"
	"embed"
	"errors"
	"fmt"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"text/template"
	"time"

	"github.com/twmb/franz-go/pkg/kadm"
	"github.com/twmb/franz-go/pkg/kgo"

	"github.com/backstitch/backstitch/pipeline/sandbox/process"
)

//go:embed pom.xml tools.xml server.properties log4j2.properties
var files embed.FS

// Version of the broker.
const Version = "4.4.0"

// ErrNoJVM says that java or mvn is not on PATH.
var ErrNoJVM = errors.New("java 17 and mvn are needed for a real broker: install openjdk-17-jre-headless and maven")

// Broker is a running broker.
type Broker struct {
	options Options
	dir     string
	lib     string
	port    int
	more    []listener
	child   *process.Child
	log     *os.File
}

// Options of a broker; the zero value has one plaintext listener.
type Options struct {
	// Listeners are further ones, by name: the security protocol (SSL, SASL_SSL, …).
	// The plaintext one stays, for whoever sets the broker up.
	Listeners map[string]string
	// Advertised are addresses, host:port, that listeners name to clients instead of
	// their own: of who stands between.
	Advertised map[string]string
	// Properties are lines added to server.properties.
	Properties map[string]string
}

type listener struct {
	Name, Protocol string
	Port           int
	Advertised     string // host:port
}

func (l listener) addr() string { return fmt.Sprintf("127.0.0.1:%d", l.Port) }

// Start fetches the jars once per machine, formats a log directory and runs a broker.
func Start(ctx context.Context) (*Broker, error) { return StartWith(ctx, Options{}) }

// StartWith is Start with options.
func StartWith(ctx context.Context, o Options) (*Broker, error) {
	for _, tool := range []string{"java", "mvn"} {
		if _, err := exec.LookPath(tool); err != nil {
			return nil, ErrNoJVM
		}
	}
	lib, err := jars(ctx, "pom.xml", "kafka-"+Version)
	if err != nil {
		return nil, err
	}
	dir, err := os.MkdirTemp("", "backstitch-kafka-")
	if err != nil {
		return nil, err
	}
	b := &Broker{options: o, dir: dir, lib: lib}
	if err := b.format(ctx); err != nil {
		return nil, errors.Join(err, b.Stop())
	}
	if err := b.Resume(ctx); err != nil {
		return nil, errors.Join(err, b.Stop())
	}
	return b, nil
}

// jars copies the jars that a POM names into the user's cache, whole or not at all.
func jars(ctx context.Context, file, name string) (string, error) {
	cache, err := os.UserCacheDir()
	if err != nil {
		cache = os.TempDir()
	}
	lib := filepath.Join(cache, "backstitch", name)
	if _, err := os.Stat(lib); err == nil {
		return lib, nil
	}
	if err := os.MkdirAll(filepath.Dir(lib), 0o755); err != nil {
		return "", err
	}
	tmp, err := os.MkdirTemp(filepath.Dir(lib), "kafka-")
	if err != nil {
		return "", err
	}
	defer os.RemoveAll(tmp)
	pom, err := files.ReadFile(file)
	if err != nil {
		return "", err
	}
	if err := os.WriteFile(filepath.Join(tmp, "pom.xml"), pom, 0o644); err != nil {
		return "", err
	}
	cmd := exec.CommandContext(ctx, "mvn", "-q", "-B", "dependency:copy-dependencies", "-DoutputDirectory=lib", "-DincludeScope=runtime")
	cmd.Dir = tmp
	if out, err := cmd.CombinedOutput(); err != nil {
		return "", fmt.Errorf("fetch %s with mvn: %w: %s", name, err, tail(out))
	}
	err = os.Rename(filepath.Join(tmp, "lib"), lib)
	if errors.Is(err, os.ErrExist) { // another test process was faster
		err = nil
	}
	return lib, err
}

func tail(out []byte) string {
	s := strings.TrimSpace(string(out))
	return s[max(0, len(s)-500):]
}

func (b *Broker) format(ctx context.Context) error {
	ports, err := freePorts(2 + len(b.options.Listeners))
	if err != nil {
		return err
	}
	b.port = ports[0]
	for name, protocol := range b.options.Listeners {
		l := listener{Name: name, Protocol: protocol, Port: ports[2+len(b.more)], Advertised: b.options.Advertised[name]}
		if l.Advertised == "" {
			l.Advertised = l.addr()
		}
		b.more = append(b.more, l)
	}
	text, err := files.ReadFile("server.properties")
	if err != nil {
		return err
	}
	var conf bytes.Buffer
	err = template.Must(template.New("").Parse(string(text))).Execute(&conf,
		map[string]any{"Port": ports[0], "ControllerPort": ports[1], "Dir": b.dir, "Listeners": b.more, "Properties": b.options.Properties})
	if err != nil {
		return err
	}
	logging, err := files.ReadFile("log4j2.properties")
	if err != nil {
		return err
	}
	err = errors.Join(os.WriteFile(b.path("server.properties"), conf.Bytes(), 0o644),
		os.WriteFile(b.path("log4j2.properties"), logging, 0o644))
	if err != nil {
		return err
	}
	id, err := b.tool(ctx, "random-uuid").Output()
	if err != nil {
		return fmt.Errorf("kafka-storage random-uuid: %w", err)
	}
	if out, err := b.tool(ctx, "format", "-t", strings.TrimSpace(string(id)), "-c", b.path("server.properties")).CombinedOutput(); err != nil {
		return fmt.Errorf("kafka-storage format: %w: %s", err, tail(out))
	}
	return nil
}

func (b *Broker) tool(ctx context.Context, args ...string) *exec.Cmd {
	return exec.CommandContext(ctx, "java", append([]string{"-XX:TieredStopAtLevel=1", "-cp", b.lib + "/*", "kafka.tools.StorageTool"}, args...)...)
}

func (b *Broker) path(name string) string { return filepath.Join(b.dir, name) }

func freePorts(n int) ([]int, error) {
	var ports []int
	for range n {
		l, err := net.Listen("tcp", "127.0.0.1:0")
		if err != nil {
			return nil, err
		}
		defer l.Close() // all are held until all are chosen
		ports = append(ports, l.Addr().(*net.TCPAddr).Port)
	}
	return ports, nil
}

// Resume runs the broker over its existing data and waits until it answers.
func (b *Broker) Resume(ctx context.Context) error {
	var err error
	if b.log == nil {
		if b.log, err = os.OpenFile(b.path("log"), os.O_CREATE|os.O_APPEND|os.O_WRONLY, 0o600); err != nil {
			return err
		}
	}
	cmd := process.Command(nil, "java", "-Xms512m", "-Xmx512m",
		"-Dlog4j2.configurationFile="+b.path("log4j2.properties"), "-cp", b.lib+"/*", "kafka.Kafka", b.path("server.properties"))
	if b.child, err = process.Start(cmd, b.log, syscall.SIGKILL); err != nil {
		return err
	}
	return b.await(ctx)
}

func (b *Broker) await(ctx context.Context) error {
	ctx, cancel := context.WithTimeout(ctx, 90*time.Second)
	defer cancel()
	client, err := kgo.NewClient(kgo.SeedBrokers(b.Addr()))
	if err != nil {
		return err
	}
	defer client.Close()
	tick := time.NewTicker(100 * time.Millisecond)
	defer tick.Stop()
	for {
		if _, err = kadm.NewClient(client).ListBrokers(ctx); err == nil {
			return nil
		}
		select {
		case <-b.child.Done():
			return fmt.Errorf("the broker ended at once: see %s", b.path("log"))
		case <-ctx.Done():
			return fmt.Errorf("the broker did not answer in time: %w", err)
		case <-tick.C:
		}
	}
}

// Addr is the broker's address.
func (b *Broker) Addr() string { return fmt.Sprintf("127.0.0.1:%d", b.port) }

// Listener is the address of one of Options.Listeners.
func (b *Broker) Listener(name string) string {
	for _, l := range b.more {
		if l.Name == name {
			return l.addr()
		}
	}
	return ""
}

// Halt ends the process (SIGTERM, SIGKILL, SIGSTOP does not end it) and leaves the
// data for Resume.
func (b *Broker) Halt(sig syscall.Signal) {
	b.child.Signal(sig)
	<-b.child.Done()
}

// Stop ends the broker and removes its data.
func (b *Broker) Stop() error {
	if b.child != nil {
		b.Halt(syscall.SIGTERM)
	}
	var err error
	if b.log != nil {
		err = b.log.Close()
	}
	return errors.Join(err, os.RemoveAll(b.dir))
}
