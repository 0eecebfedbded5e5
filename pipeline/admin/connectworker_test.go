package admin

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"net"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"testing"
	"text/template"
	"time"

	"github.com/backstitch/backstitch/integration/testenv"
)

// envConnect asks for a real Kafka Connect worker: it takes a JDK, mvn and a minute.
const envConnect = "BACKSTITCH_KAFKA_CONNECT"

// A real worker of Kafka Connect still answers what testdata/connect keeps of it.
func TestKafkaConnectAnswersAsRecorded(t *testing.T) {
	if os.Getenv(envConnect) == "" {
		t.Skip("set " + envConnect + "=1 to ask a real Kafka Connect")
	}
	url := startWorker(t)
	for _, r := range recordings(t) {
		settle(t, url, r)
		var found []string
		var again bool
		for deadline := time.Now().Add(time.Minute); time.Now().Before(deadline); <-time.After(100 * time.Millisecond) {
			if found, again = askAgain(t, url, r); len(found) == 0 || !again {
				break
			}
		}
		if len(found) > 0 {
			t.Errorf("%s\n%s", r, strings.Join(found, "\n"))
		}
	}
}

// askAgain lists what a worker answers otherwise than recorded, and whether it may
// answer so in a moment: it elects a leader, or has not written its offsets yet.
func askAgain(t *testing.T, url string, r recorded) (found []string, again bool) {
	t.Helper()
	code, body := request(t, r.Method, url+r.Path, r.Sent)
	if code != r.Code {
		return []string{fmt.Sprintf("Kafka Connect answers %d %s, recorded is %d %v", code, body, r.Code, r.Body)}, code == http.StatusConflict || r.Method == "GET"
	}
	var now any
	if len(body) > 0 && json.Unmarshal(body, &now) != nil {
		return []string{fmt.Sprintf("Kafka Connect answers %s", body)}, false
	}
	shrink(r.Body, now)
	return unlike(r.at(), r.Body, now), r.Method == "GET"
}

// shrink takes off now what the recording has no place for: the rest of long lists.
func shrink(recorded, now any) {
	then, _ := recorded.(map[string]any)
	all, _ := now.(map[string]any)
	for key := range all {
		if _, ok := then[key]; !ok && strings.Contains(key, ".") { // a logger
			delete(all, key)
		}
	}
}

// settle waits until the connectors are in the state that a request was recorded in.
func settle(t *testing.T, url string, r recorded) {
	t.Helper()
	name, state, tasks := "x-apply", "RUNNING", []string{"RUNNING", failed}
	if strings.Contains(r.Path, "x-source") {
		name, tasks = "x-source", []string{"RUNNING"}
	}
	switch {
	case !strings.Contains(r.Path, name) && !strings.Contains(r.Path, "expand"), r.Code == http.StatusNotFound, r.Code == http.StatusCreated:
		return // it does not matter
	case r.Method == "PUT" && strings.HasSuffix(r.Path, "/resume"):
		return // from whatever it was
	case strings.HasPrefix(r.State, "stopped"):
		state, tasks = "STOPPED", nil
	case r.State == "paused":
		state, tasks[0] = "PAUSED", "PAUSED"
	}
	var body []byte
	for deadline := time.Now().Add(2 * time.Minute); time.Now().Before(deadline); {
		if _, body = request(t, "GET", url+"/connectors/"+name+"/status", nil); stands(body, state, tasks) {
			return
		}
		<-time.After(100 * time.Millisecond)
	}
	t.Fatalf("before %s: not within two minutes is %s %s %s, but %s", r, name, state, tasks, body)
}

func stands(body []byte, state string, tasks []string) bool {
	var s ConnectorState
	if json.Unmarshal(body, &s) != nil || s.Connector.State != state || len(s.Tasks) != len(tasks) {
		return false
	}
	for _, task := range s.Tasks {
		if task.ID >= len(tasks) || task.State != tasks[task.ID] {
			return false
		}
	}
	return true
}

func request(t *testing.T, method, url string, body []byte) (int, []byte) {
	t.Helper()
	r, err := http.NewRequest(method, url, bytes.NewReader(body))
	if err != nil {
		t.Fatal(err)
	}
	if len(body) > 0 {
		r.Header.Set("Content-Type", "application/json")
	}
	res, err := http.DefaultClient.Do(r)
	if err != nil {
		return 0, []byte(err.Error())
	}
	defer res.Body.Close()
	text, err := io.ReadAll(res.Body)
	if err != nil {
		t.Fatal(err)
	}
	return res.StatusCode, text
}

// startWorker runs a distributed worker with two connectors of its own to use, and
// returns its URL.
func startWorker(t *testing.T) string {
	t.Helper()
	dir := t.TempDir()
	must := func(in, name string, args ...string) {
		t.Helper()
		cmd := exec.Command(name, args...)
		cmd.Dir = in
		if out, err := cmd.CombinedOutput(); err != nil {
			t.Fatalf("%s: %v\n%s", name, err, out)
		}
	}
	here, err := filepath.Abs("testdata/connect")
	if err != nil {
		t.Fatal(err)
	}
	lib, classes := filepath.Join(dir, "lib"), filepath.Join(dir, "classes")
	must(here, "mvn", "-q", "-B", "dependency:copy-dependencies", "-DoutputDirectory="+lib, "-DincludeScope=runtime")
	must(here, "javac", "-cp", lib+"/*", "-d", classes, "LineSource.java", "FailSink.java")
	if err := os.Mkdir(filepath.Join(dir, "plugins"), 0o700); err != nil {
		t.Fatal(err)
	}
	must(classes, "jar", "cf", filepath.Join(dir, "plugins", "own.jar"), ".")
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	port := l.Addr().(*net.TCPAddr).Port
	l.Close()
	var conf bytes.Buffer
	err = template.Must(template.ParseFiles("testdata/connect/worker.properties")).Execute(&conf, map[string]any{
		"Brokers": strings.Join(testenv.Kafka(t), ","), "Name": testenv.Name(t), "Port": port, "Plugins": filepath.Join(dir, "plugins"),
	})
	if err != nil {
		t.Fatal(err)
	}
	path := filepath.Join(dir, "worker.properties")
	if err := os.WriteFile(path, conf.Bytes(), 0o600); err != nil {
		t.Fatal(err)
	}
	ctx, stop := context.WithCancel(context.Background())
	worker := exec.CommandContext(ctx, "java", "-Xmx512m", "-Dlog4j2.configurationFile="+filepath.Join(here, "log4j2.properties"), "-cp", lib+"/*", "org.apache.kafka.connect.cli.ConnectDistributed", path)
	var log bytes.Buffer
	worker.Stdout, worker.Stderr = &log, &log
	if err := worker.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		stop()
		_ = worker.Wait() // it was killed
		if t.Failed() {
			t.Log(log.String()[max(0, log.Len()-2000):])
		}
	})
	url := "http://127.0.0.1:" + strconv.Itoa(port)
	for deadline := time.Now().Add(5 * time.Minute); time.Now().Before(deadline); <-time.After(100 * time.Millisecond) {
		if code, _ := request(t, "GET", url+"/connectors", nil); code == http.StatusOK {
			return url
		}
	}
	t.Fatal("the worker does not answer")
	return ""
}
