package stytch

import (
	"io"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
)

// control calls the simulator's own paths.
func (b *bundle) control(method, path, body string) (int, string) {
	b.Helper()
	r, err := http.NewRequestWithContext(b.Context(), method, b.server.URL+controlPrefix+path, strings.NewReader(body))
	if err != nil {
		b.Fatal(err)
	}
	r.SetBasicAuth(testProject, testSecret)
	res, err := b.server.Client().Do(r)
	if err != nil {
		b.Fatal(err)
	}
	defer res.Body.Close()
	raw, err := io.ReadAll(res.Body)
	if err != nil {
		b.Fatal(err)
	}
	return res.StatusCode, string(raw)
}

func TestControl(t *testing.T) {
	t.Parallel()
	b := newBundle(t, Options{})
	b.organization("acme")
	id := b.migrate("acme", "jane@corp.example").body["member_id"].(string)
	for _, test := range []struct {
		method, path, body string
		status             int
		holds              string
	}{
		{"GET", "state", "", 200, `"organizations":1`},
		{"GET", "counts", "", 200, `"passwords.migrate":{"200":1}`},
		{"GET", "journal?endpoint=passwords.migrate&status=200&after=1", "", 200, `"fields":["email_address"`},
		{"GET", "journal?endpoint=members.delete", "", 200, "[]"},
		{"GET", "journal?status=x", "", 400, "numbers"},
		{"GET", "dump", "", 200, `"hash":"$2a$04$`},
		{"GET", "faults", "", 200, "[]"},
		{"POST", "faults", `{"kind":"sometimes"}`, 400, "unknown kind"},
		{"POST", "faults", `{"kind":"status","colour":"red"}`, 400, "colour"},
		{"POST", "faults", `{"kind":"status","endpoint":"organizations.get","status":429}`, 200, `"id":1`},
		{"POST", "faults/1/release", "", 200, `"released":0`},
		{"DELETE", "faults/9", "", 404, "no such fault"},
		{"PUT", "members/" + id, `{"name":"Behind"}`, 200, `"name":"Behind"`},
		{"PUT", "members/" + id, `{"roles":["nobody"]}`, 400, "invalid_role"},
		{"PUT", "members/" + id, `[]`, 400, "not a JSON object"},
		{"PUT", "members/" + id + "/password", `{"password":"of the user"}`, 200, "{}"},
		{"PUT", "members/" + id + "/password", `{}`, 400, "missing"},
		{"DELETE", "members/" + id, "", 200, "{}"},
		{"DELETE", "members/" + id, "", 404, "member_not_found"},
		{"PUT", "organizations/acme", `{"organization_name":"Behind"}`, 200, `"organization_name":"Behind"`},
		{"POST", "nothing", "", 404, ""},
	} {
		status, body := b.control(test.method, test.path, test.body)
		if status != test.status || !strings.Contains(body, test.holds) {
			t.Errorf("%s %s: %d %s", test.method, test.path, status, body)
		}
	}
	if a := b.do("GET", "organizations/acme", nil); a.status != 429 {
		t.Errorf("the injected fault does not fail: %d", a.status)
	}
	if _, body := b.control("GET", "faults", ""); !strings.Contains(body, `"hits":1`) {
		t.Errorf("faults: %s", body)
	}
	b.control("DELETE", "faults/1", "")
	if a := b.do("GET", "organizations/acme", nil); a.status != 200 {
		t.Errorf("the removed fault still fails: %d", a.status)
	}
	res, err := b.server.Client().Get(b.server.URL + "/_simulator/dump")
	if err != nil {
		t.Fatal(err)
	}
	res.Body.Close()
	if res.StatusCode != http.StatusUnauthorized {
		t.Errorf("without credentials: %d", res.StatusCode)
	}
}

func TestControlIsForLoopback(t *testing.T) {
	t.Parallel()
	r := httptest.NewRequest(http.MethodGet, "/_simulator/state", nil)
	r.SetBasicAuth(testProject, testSecret)
	r.RemoteAddr = "192.0.2.1:1234"
	w := httptest.NewRecorder()
	New(Options{ProjectID: testProject, Secret: testSecret}).ServeHTTP(w, r)
	if w.Code != http.StatusForbidden {
		t.Errorf("from another machine: %d", w.Code)
	}
}
