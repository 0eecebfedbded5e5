package admin

import (
	"encoding/json"
	"os"
	"slices"
	"strings"
	"testing"
)

// recorded is a request and what Kafka Connect answered: a distributed worker 4.4.0
// with a source x-source (one task) and a sink x-apply (two tasks, of which the second
// fails as it starts) on the topic rest-lines. TestKafkaConnectAnswersAsRecorded asks a worker again.
type recorded struct {
	Method, Path string
	// State that the connectors were in; "": both run.
	State       string
	Sent        json.RawMessage
	Code        int
	ContentType string `json:"content_type"`
	Body        any
}

func (r recorded) String() string {
	sent := strings.Join(strings.Fields(string(r.Sent)), "")
	return strings.Join(strings.Fields(r.Method+" "+r.Path+" "+sent+" "+r.State), " ")
}

// at is where the answer's root stands: the last part of the path.
func (r recorded) at() string { return r.Path[strings.LastIndex(r.Path, "/")+1:] }

// differences are where we answer otherwise than Kafka Connect, and why; docs/rest.md
// lists them. A star stands for whatever follows.
type difference struct{ request, why string }

var differences = []difference{
	{"POST /connectors *", "the file is the configuration"},
	{"PUT /connectors/x-apply/config *", "the file is the configuration"},
	{"PATCH /connectors/x-apply/config *", "the file is the configuration"},
	{"DELETE /connectors/x-apply", "the file is the configuration"},
	{"PUT /connector-plugins/*", "the file is the configuration"},
	{"GET /connectors/nope/topics", "a name that is not there is said not to be"},
	{"PUT /connectors/nope/topics/reset", "a name that is not there is said not to be"},
	{"PUT /admin/loggers/nope *", "a name that is not there is said not to be"},
	{"PUT /connectors/x-apply/topics/reset", "topics are not tracked: as with topic.tracking.allow.reset=false"},
	{"POST /connectors/x-apply/tasks/0/restart stopped", "a task that is not there is said not to be"},
	{"POST /connectors/x-apply/restart?includeTasks=true stopped", "a stopped connector stays stopped"},
	{"POST /connectors/x-apply/restart?onlyFailed=true", "connector and tasks start anew together"},
	{"POST /connectors/x-apply/restart?includeTasks=false&onlyFailed=true", "connector and tasks start anew together"},
	{"PATCH /connectors/x-source/offsets *", "moving an LSN loses data"},
	{"DELETE /connectors/x-source/offsets *", "moving an LSN loses data"},
	{"PATCH /connectors/x-apply/offsets stopped, no body", "a request that cannot be read is the caller's fault: 400"},
	{`PATCH /connectors/x-apply/offsets "nonsense" *`, "a request that cannot be read is the caller's fault: 400"},
	{`PATCH /connectors/x-apply/offsets {"offset":[]} *`, "a request that cannot be read is the caller's fault: 400"},
	{`PUT /admin/loggers/root "nonsense"`, "a request that cannot be read is the caller's fault: 400"},
	{`PATCH /connectors/x-apply/offsets {"offsets":[{"partition":{"kafka_topic":"rest-nope"*`, "there is no such partition: 400"},
	{`PATCH /connectors/x-apply/offsets {"offsets":[{"partition":{"kafka_topic":"rest-lines","kafka_partition":44}*`, "there is no such partition: 400"},
	{`PATCH /connectors/x-apply/offsets {"offsets":[{"partition":{"kafka_topic":"rest-lines","kafka_partition":0},"offset":{"kafka_offset":-3}*`, "there is no such offset: 400"},
	{`PATCH /connectors/x-apply/offsets {"offsets":[{"partition":{"kafka_topic":"rest-lines","kafka_partition":0},"offset":{"kafka_offset":99}*`, "there is no such offset: 400"},
	{"PUT /admin/loggers/root?scope=cluster *", "a level is set in one instance"},
	{"PUT /admin/loggers/root?scope=nonsense *", "a level is set in one instance"},
}

func recordings(t *testing.T) (all []recorded) {
	t.Helper()
	text, err := os.ReadFile("testdata/connect/4.4.0.json")
	if err == nil {
		err = json.Unmarshal(text, &all)
	}
	if err != nil {
		t.Fatal(err)
	}
	return all
}

// Our answers have the codes, the keys, the types and the states of Kafka Connect's,
// but for the differences; and these do differ.
func TestAnswersAreLikeKafkaConnects(t *testing.T) {
	t.Parallel()
	all := recordings(t)
	used := map[string]bool{}
	alike := 0
	for _, r := range all {
		unlike := compareAnswers(t, r)
		i := slices.IndexFunc(differences, func(d difference) bool {
			start, any := strings.CutSuffix(d.request, "*")
			return d.request == r.String() || any && strings.HasPrefix(r.String(), start)
		})
		switch {
		case i < 0 && len(unlike) > 0:
			t.Errorf("%s\n%s", r, strings.Join(unlike, "\n"))
		case i < 0:
			alike++
		case len(unlike) > 0:
			used[differences[i].request] = true
		}
	}
	for _, d := range differences {
		if !used[d.request] {
			t.Errorf("%s: said to differ because %s, and does not", d.request, d.why)
		}
	}
	t.Logf("%d of %d answers are alike", alike, len(all))
}
