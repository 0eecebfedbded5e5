package stytch

import (
	"crypto/subtle"
	"errors"
	"fmt"
	"maps"
	"net/http"
	"strconv"
	"strings"
	"sync"
	"time"

	"github.com/google/uuid"
)

// Simulator is the API of one Stytch project. It is safe for concurrent use.
type Simulator struct {
	options Options
	policy  Policy
	limits  *limiter
	faults  *faults
	journal *journal
	control http.Handler

	// verifying bounds the memory that password hashes take at one time.
	verifying chan struct{}

	mu struct {
		sync.Mutex
		*store
	}
}

// maxVerifying is how many passwords are hashed at one time.
const maxVerifying = 2

// New makes a simulator of an empty project.
func New(o Options) *Simulator {
	o = o.withDefaults()
	s := &Simulator{
		options: o, policy: newPolicy(o.Roles), limits: newLimiter(o.RateLimit, o.SearchLimit),
		faults: &faults{}, journal: newJournal(o.JournalSize),
		verifying: make(chan struct{}, maxVerifying),
	}
	s.mu.store = newStore(o.environment())
	s.control = newControl(s)
	return s
}

// ServeHTTP answers one request.
func (s *Simulator) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	if strings.HasPrefix(r.URL.Path, controlPrefix) {
		s.control.ServeHTTP(w, r)
		return
	}
	c := &call{
		method: r.Method, arrived: s.options.Now(), query: r.URL.Query(),
		requestID: "request-id-" + s.options.environment() + "-" + uuid.NewString(),
	}
	route, err := s.admit(c, w, r)
	if err != nil {
		s.answer(w, c, "", nil, err)
		return
	}
	if !pause(r, s.options.Latency) {
		s.abort(c, "") // the caller is gone
	}
	if in := s.faults.pick(s, c); in != nil {
		s.fail(w, r, c, route, in)
		return
	}
	res, err := route.perform(s, c)
	s.answer(w, c, "", res, err)
}

// admit does what comes before an operation: route, credentials, rate limit, body.
func (s *Simulator) admit(c *call, w http.ResponseWriter, r *http.Request) (*route, error) {
	route, path, err := findRoute(r.Method, r.URL.EscapedPath())
	if err != nil {
		return nil, err
	}
	c.endpoint, c.path = route.endpoint, path
	c.nameByPath()
	bodyErr := c.readBody(r.Body) // refused last, but the journal names its fields
	// SDKs fetch the keys without credentials.
	if route.endpoint != SessionsJWKS {
		if err := s.authenticate(r); err != nil {
			return nil, err
		}
	}
	if rest, ok := s.limits.take(c.endpoint, c.arrived); !ok {
		if s.options.RetryAfter {
			w.Header().Set("Retry-After", strconv.Itoa(int((rest+time.Second-1)/time.Second)))
		}
		return nil, errTooManyRequests
	}
	if r.Header.Get("X-Stytch-Member-Session") != "" || r.Header.Get("X-Stytch-Member-SessionJWT") != "" {
		return nil, &refusal{http.StatusForbidden, "session_authorization_error", "The simulator does not act as a member."}
	}
	return route, bodyErr
}

func (s *Simulator) authenticate(r *http.Request) error {
	id, secret, ok := r.BasicAuth()
	if !ok {
		return refuse("invalid_authorization_header", "The authorization header is missing or is not Basic.")
	}
	same := subtle.ConstantTimeCompare([]byte(id), []byte(s.options.ProjectID)) &
		subtle.ConstantTimeCompare([]byte(secret), []byte(s.options.Secret))
	if same != 1 {
		return errCredentials
	}
	return nil
}

// answer sends the envelope and writes the journal, the journal first: whoever has
// the answer finds the entry.
func (s *Simulator) answer(w http.ResponseWriter, c *call, fault FaultKind, res response, err error) {
	status, body := s.envelope(c, res, err)
	s.record(c, status, err, fault)
	answerJSON(w, status, body)
}

func (s *Simulator) envelope(c *call, res response, err error) (int, map[string]any) {
	if err != nil {
		r := asRefusal(err)
		return r.status, map[string]any{
			"status_code": r.status, "request_id": c.requestID,
			"error_type": r.kind, "error_message": r.message, "error_url": r.url(),
		}
	}
	body := map[string]any{"status_code": http.StatusOK, "request_id": c.requestID}
	maps.Copy(body, res)
	return http.StatusOK, body
}

func asRefusal(err error) *refusal {
	var r *refusal
	if errors.As(err, &r) {
		return r
	}
	return &refusal{http.StatusInternalServerError, "internal_server_error", "An internal error occurred."}
}

func (s *Simulator) record(c *call, status int, err error, fault FaultKind) {
	e := Entry{
		Time: c.arrived, End: s.options.Now(), Method: c.method, Endpoint: c.endpoint, RequestID: c.requestID,
		OrganizationID: c.organizationID, MemberID: c.memberID,
		Fields: c.fields, Body: c.body, Status: status, Effect: c.effect, Fault: fault,
	}
	if err != nil && status != 0 {
		e.ErrorType = asRefusal(err).kind
	}
	s.journal.add(e)
}

// abort cuts the connection: the caller gets no answer.
func (s *Simulator) abort(c *call, fault FaultKind) {
	s.record(c, 0, nil, fault)
	panic(http.ErrAbortHandler)
}

// pause waits and says whether the caller is still there.
func pause(r *http.Request, d time.Duration) bool {
	if d <= 0 {
		return true
	}
	t := time.NewTimer(d)
	defer t.Stop()
	select {
	case <-t.C:
		return true
	case <-r.Context().Done():
		return false
	}
}

// String names the project; it never shows the secret.
func (s *Simulator) String() string { return fmt.Sprintf("stytch simulator %s", s.options.ProjectID) }
