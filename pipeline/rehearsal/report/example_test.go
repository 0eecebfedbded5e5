package report

import (
	"fmt"
	"path/filepath"
	"testing"
	"time"

	"github.com/backstitch/backstitch/consumers"
)

// example is a rehearsal with something of everything.
func example(t *testing.T) *Report {
	t.Helper()
	dir := t.TempDir()
	before := exampleOf(t, filepath.Join(dir, "before.json"), "", false)
	now := exampleOf(t, filepath.Join(dir, "now.json"), filepath.Join(dir, "before.json"), true)
	err := now.Compare(before, StatesPath(filepath.Join(dir, "before.json")), StatesPath(filepath.Join(dir, "now.json")))
	if err != nil {
		t.Fatal(err)
	}
	return now
}

func exampleOf(t *testing.T, path, former string, edited bool) *Report {
	t.Helper()
	if former != "" {
		former = StatesPath(former)
	}
	states, err := CreateStates(StatesPath(path), former)
	if err != nil {
		t.Fatal(err)
	}
	defer states.Discard()
	r := exampleFacts(edited)
	tally := NewTally(r, states)
	for i := range 412 {
		if err := tally.Add(exampleOrganization(i, edited)); err != nil {
			t.Fatal(err)
		}
	}
	for i := range 9_873 {
		if err := tally.Add(exampleMember(i, edited)); err != nil {
			t.Fatal(err)
		}
	}
	if err := states.Close(); err != nil {
		t.Fatal(err)
	}
	for i := range r.Findings {
		r.Findings[i].Where = map[consumers.Kind]string{consumers.Organization: "acme.yaml:14", consumers.Member: "acme.yaml:22"}[r.Findings[i].Kind]
	}
	f := r.Finding(NoOrganization, consumers.Member)
	f.Count, f.Where = 360, "acme.yaml:22"
	f.Samples = []Sample{NewSample(consumers.Key{Kind: consumers.Member, Organization: "11", Entity: "5001"}, "", "")}
	f = r.Finding(Dangling, "")
	f.Count, f.Details = 12, []Detail{{"public.team_members.user_id", 12}}
	f.Samples = []Sample{RowSample("public.team_members", []string{"88"}, ""), RowSample("public.team_members", []string{"jane@corp.example"}, "")}
	r.Finish()
	return r
}

func exampleFacts(edited bool) *Report {
	started := time.Date(2026, 11, 27, 20, 0, 0, 0, time.UTC)
	r := &Report{
		Run: Run{
			Name: "acme", Config: "acme.yaml", Version: "v1.4.0", Mapping: "5d41402abc4b2a76b9719d911017c592ae2f8e1c6a1f7a0b3c4d5e6f70819203",
			Source: "18.1", Database: "legacy", LSN: "16/B374D848", Started: started, Ended: started.Add(94 * time.Second), Roles: RolesOfProject,
			Notices: []string{"Claimed domains, and objects that others made in the live project, are not known to the simulator."},
		},
		Hashes: []HashCount{{"none", 1_204, true}, {"bcrypt", 7_412, true}, {"firebase_scrypt", 1_102, false}, {"unknown", 155, false}},
		Roles:  []Role{{"stytch_member", 9_000, true}, {"admin", 640, true}, {"billing_admin", 40, false}, {"owner", 193, false}},
		Unfed:  []Unfed{{"public.teams", 36, []string{"11", "22", "33"}}, {"public.users", 37, []string{"5001", "5002"}}},
		Calls: []Call{
			{Endpoint: "POST /v1/b2b/organizations/{organization_id}/members", Count: 2_410, Write: true, Refused: 41},
			{Endpoint: "POST /v1/b2b/passwords/migrate", Count: 7_330, Write: true},
			{Endpoint: "POST /v1/b2b/organizations", Count: 409, Write: true, Refused: 3},
			{Endpoint: "GET /v1/b2b/organizations/{organization_id}/member", Count: 18, Throttled: 2},
			{Endpoint: "GET /v1/b2b/rbac/policy", Count: 1},
		},
		Estimate: Estimate{Limits: []Limit{{Name: "stytch.rate_limit", Calls: 10_168, Rate: 60}, {Name: "passwords/migrate", Calls: 7_330, Rate: 100}}, Simulated: 171.4},
	}
	if !edited {
		r.Run.Mapping, r.Run.Started, r.Run.Ended = "0cc175b9c0f1b6a831c399e269772661b3c4d5e6f708192031f7a0b3c4d5e6f7", started.Add(-time.Hour), started.Add(-time.Hour+95*time.Second)
		r.Calls[0].Count, r.Estimate.Limits[0].Calls = 2_344, 10_102
	}
	return r
}

func exampleOrganization(i int, edited bool) Entity {
	id := fmt.Sprint(i + 1)
	e := Entity{
		Key:      consumers.Key{Kind: consumers.Organization, Organization: id, Entity: id},
		Standing: Standing{Outcome: Created}, Desired: fmt.Appendf(nil, `{"organization_name": "Team %d", "organization_slug": "team-%d"}`, i, i),
	}
	switch {
	case i == 40:
		e.Standing, e.Detail = Standing{Parked, Class(consumers.ReasonInvalidSlug)}, "organization_slug_invalid"
	case i == 77:
		e.Standing, e.Other = Standing{Parked, DuplicateSlug}, "12"
	case i > 400 && !edited:
		e.Standing = Standing{Parked, Class(consumers.ReasonInvalidName)}
	}
	return e
}

func exampleMember(i int, edited bool) Entity {
	role := "member"
	if edited && i%50 == 3 {
		role = "admin"
	}
	e := Entity{
		Key:      consumers.Key{Kind: consumers.Member, Organization: fmt.Sprint(i%412 + 1), Entity: fmt.Sprint(10_000 + i)},
		Standing: Standing{Outcome: Created}, Desired: fmt.Appendf(nil, `{"email_address": "p%d@corp.example", "name": null, "roles": ["%s"]}`, i, role),
	}
	switch {
	case i%412 == 40 || i%412 == 77 || i%412 > 400 && !edited:
		e.Standing = Standing{Blocked, Class(consumers.ReasonBlockedByOrganization)}
	case i%300 == 9:
		e.Standing, e.Other = Standing{Parked, DuplicateEmail}, fmt.Sprint(10_001+i)
	case i%1000 == 17:
		e.Standing, e.Detail = Standing{Parked, Class(consumers.ReasonInvalidRole)}, []string{"owner", "billing_admin"}[i/1000%2]
	case i == 4_000:
		e.Standing, e.Detail = Standing{Parked, Class(consumers.ReasonEvaluation)}, "22P02"
	case i%9 == 0:
		e.Outcome, e.Losses, e.Detail = WithLoss, []consumers.Loss{consumers.LossHashFormat}, []string{"firebase_scrypt", "unknown"}[i%2]
	case i%15 == 1:
		e.Outcome, e.Losses = WithLoss, []consumers.Loss{consumers.LossEmailUnverified}
	}
	return e
}
