package stytch

import (
	"bufio"
	"context"
	"encoding/json"
	"errors"
	"io"
	"net/http"
	"strings"
	"testing"
	"time"
)

func number(s string) json.Number { return json.Number(s) }

func TestErrors(t *testing.T) {
	t.Parallel()
	body := `{"status_code":400,"request_id":"request-id-test-1","error_type":"duplicate_member_email",
		"error_message":"ann@example.com exists","error_url":"https://stytch.com/docs/b2b/api/errors/400#duplicate_member_email"}`
	for _, tt := range []struct {
		name   string
		status int
		header string
		body   string
		want   Error
	}{
		{"stytch", 400, "", body, Error{Status: 400, Type: "duplicate_member_email", RequestID: "request-id-test-1", URL: "https://stytch.com/docs/b2b/api/errors/400#duplicate_member_email"}},
		{"throttled, seconds", 429, "7", `{"error_type":"too_many_requests"}`, Error{Status: 429, Type: "too_many_requests", RetryAfter: 7 * time.Second}},
		{"throttled, date", 429, "Mon, 02 Jan 2006 15:04:09 GMT", `{"error_type":"too_many_requests"}`, Error{Status: 429, Type: "too_many_requests", RetryAfter: 4 * time.Second}},
		{"throttled, nonsense", 429, "soon", `{"error_type":"too_many_requests"}`, Error{Status: 429, Type: "too_many_requests"}},
		{"html", 502, "", "<html>ann@example.com</html>", Error{Status: 502}},
		{"empty", 503, "", "", Error{Status: 503}},
		{"values in the fields", 400, "", `{"error_type":"ann@example.com","request_id":"a b","error_url":"https://x/?q=ann@example.com"}`, Error{Status: 400}},
	} {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			now := time.Date(2006, 1, 2, 15, 4, 5, 0, time.UTC)
			c := serve(t, func(w http.ResponseWriter, r *http.Request) {
				if tt.header != "" {
					w.Header().Set("Retry-After", tt.header)
				}
				answer(tt.status, tt.body)(w, r)
			}, func(o *Options) { o.Now = func() time.Time { return now } })
			_, err := c.CreateMember(context.Background(), "o", Fields{"email_address": "ann@example.com"})
			var e *Error
			if !errors.As(err, &e) || *e != tt.want {
				t.Fatalf("got %+v, want %+v", e, tt.want)
			}
			if strings.Contains(err.Error(), "example.com") {
				t.Errorf("the error carries a value: %s (invariant 8)", err)
			}
			if !MaybeSent(err) {
				t.Error("an answered call was sent")
			}
		})
	}
}

func TestUnusableAnswers(t *testing.T) {
	t.Parallel()
	for name, h := range map[string]http.HandlerFunc{
		"204": func(w http.ResponseWriter, _ *http.Request) { w.WriteHeader(204) },
		"202": answer(202, memberAnswer),
		"redirect": func(w http.ResponseWriter, r *http.Request) {
			http.Redirect(w, r, "/elsewhere", http.StatusTemporaryRedirect)
		},
		"html":          answer(200, "<html>ann@example.com</html>"),
		"another JSON":  answer(200, `{}`),
		"wrong type":    answer(200, `{"member":"ann@example.com"}`),
		"half a body":   answer(200, memberAnswer[:40]),
		"short of body": truncate,
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			c := serve(t, h)
			_, err := c.CreateMember(context.Background(), "o", Fields{"email_address": "ann@example.com"})
			var e *ResponseError
			if !errors.As(err, &e) {
				t.Fatalf("got %v, want a ResponseError", err)
			}
			if name == "short of body" && !errors.Is(err, io.ErrUnexpectedEOF) {
				t.Errorf("got %v, want an unexpected EOF inside", err)
			}
			if strings.Contains(err.Error(), "example.com") {
				t.Errorf("the error carries a value: %s (invariant 8)", err)
			}
			if !MaybeSent(err) {
				t.Error("an answered call was sent")
			}
		})
	}
}

// truncate promises more than it sends.
func truncate(w http.ResponseWriter, _ *http.Request) {
	conn, rw, err := w.(http.Hijacker).Hijack()
	if err != nil {
		return
	}
	defer conn.Close()
	writeAndFlush(rw.Writer, "HTTP/1.1 200 OK\r\nContent-Length: 500\r\n\r\n"+memberAnswer)
}

func writeAndFlush(w *bufio.Writer, s string) {
	_, _ = w.WriteString(s)
	_ = w.Flush()
}

func TestAuthenticate(t *testing.T) {
	t.Parallel()
	for _, tt := range []struct {
		status int
		body   string
		ok     bool
		failed bool
	}{
		{200, memberAnswer, true, false},
		{401, `{"error_type":"unauthorized_credentials"}`, false, false},
		{404, `{"error_type":"member_not_found"}`, false, true},
		{200, `{}`, false, true},
	} {
		c := serve(t, answer(tt.status, tt.body))
		ok, err := c.AuthenticatePassword(context.Background(), "o", "ann@example.com", "pw")
		if ok != tt.ok || (err != nil) != tt.failed {
			t.Errorf("%d %s: got %v, %v", tt.status, tt.body, ok, err)
		}
	}
}

func TestPages(t *testing.T) {
	t.Parallel()
	c := serve(t, answer(200, `{"members":[{"member_id":"m"}],"results_metadata":{"total":-1,"next_cursor":"next"}}`))
	page, err := c.SearchMembers(context.Background(), MemberSearch{OrganizationIDs: []string{"o"}})
	if err != nil || len(page.Members) != 1 || page.NextCursor != "next" || page.Total != -1 {
		t.Fatalf("got %+v, %v", page, err)
	}
}

func TestObserve(t *testing.T) {
	t.Parallel()
	var calls []Call
	c := serve(t, answer(429, `{"error_type":"too_many_requests"}`), func(o *Options) { o.Observe = func(c Call) { calls = append(calls, c) } })
	_ = c.DeleteMember(context.Background(), "o", "m")
	_ = c.DeleteMember(context.Background(), "o", "..")
	if len(calls) != 2 || calls[0].Name != "delete_member" || calls[0].Status != 429 || calls[0].Type != "too_many_requests" || calls[1].Status != 0 {
		t.Fatalf("got %+v", calls)
	}
}
