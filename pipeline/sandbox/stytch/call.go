package stytch

import (
	"encoding/json"
	"io"
	"net/http"
	"net/url"
	"slices"
	"strings"
	"time"
)

// maxBody bounds a request's body.
const maxBody = 1 << 20

// call is one request on its way through the simulator.
type call struct {
	endpoint  Endpoint
	method    string
	requestID string
	arrived   time.Time
	path      map[string]string // unescaped
	query     url.Values
	body      json.RawMessage // an object
	fields    []string        // its keys, sorted

	organizationID, memberID string // what the call was about, for the journal
	effect                   int    // the status that a fault withholds
}

// response is a successful answer without its envelope.
type response map[string]any

// readBody takes an empty body as {}. Field names are case-sensitive, which
// encoding/json is not: keys that are none of the API's are left out.
func (c *call) readBody(r io.Reader) error {
	raw, err := io.ReadAll(io.LimitReader(r, maxBody+1))
	if err != nil {
		return badRequest("The body could not be read.")
	}
	if len(raw) > maxBody {
		return badRequest("The body is too large.")
	}
	c.body = json.RawMessage("{}")
	if len(strings.TrimSpace(string(raw))) == 0 {
		return nil
	}
	var object map[string]json.RawMessage
	if err := json.Unmarshal(raw, &object); err != nil || object == nil {
		return badRequest("The body is not a JSON object.")
	}
	odd := false
	for k := range object {
		c.fields = append(c.fields, k)
		if k != strings.ToLower(k) {
			odd = true
			delete(object, k)
		}
	}
	slices.Sort(c.fields)
	c.body = raw
	if odd {
		if c.body, err = json.Marshal(object); err != nil {
			return badRequest("The body could not be read.")
		}
	}
	return nil
}

// decode fills the fields that a request names. A null leaves a pointer nil, as
// absence does: Stytch documents null for metadata keys alone.
func (c *call) decode(v any) error {
	if err := json.Unmarshal(c.body, v); err != nil {
		return badRequest("A field has the wrong type.")
	}
	return nil
}

// nameByPath takes Stytch ids from the path for the journal, for calls that end
// before anything is looked up.
func (c *call) nameByPath() {
	if id := c.path["organization"]; strings.HasPrefix(id, "organization-") {
		c.organizationID = id
	}
	if id := c.path["member"]; strings.HasPrefix(id, "member-") {
		c.memberID = id
	}
}

// about names the objects of a call in its journal entry.
func (c *call) about(o *organization, m *member) {
	if o != nil {
		c.organizationID = o.view.OrganizationID
	}
	if m != nil {
		c.memberID = m.view.MemberID
	}
}

func answerJSON(w http.ResponseWriter, status int, body any) {
	raw, err := json.Marshal(body)
	if err != nil {
		// The simulator's own types always marshal.
		panic(err)
	}
	w.Header().Set("Content-Type", "application/json")
	w.WriteHeader(status)
	// The caller may be gone; there is nobody else to tell.
	_, _ = w.Write(append(raw, '\n'))
}
