package apply

import (
	"context"
	"fmt"
	"sync"

	"github.com/backstitch/backstitch/consumers/stytch"
)

// spy passes calls on, and sees how many are in flight for one entity. A hook may
// hold a call up after its mark, as a process that is stopped there would.
type spy struct {
	API
	before func(step, id string) // may be nil

	mu     sync.Mutex
	flying map[string]int
	worst  int
}

func (s *spy) enter(step, id string) func() {
	s.mu.Lock()
	if s.flying == nil {
		s.flying = map[string]int{}
	}
	s.flying[id]++
	s.worst = max(s.worst, s.flying[id])
	s.mu.Unlock()
	if s.before != nil {
		s.before(step, id)
	}
	return func() {
		s.mu.Lock()
		defer s.mu.Unlock()
		s.flying[id]--
	}
}

func (s *spy) CreateMember(ctx context.Context, org string, f stytch.Fields) (*stytch.Member, error) {
	defer s.enter(stepCreateMember, org+fmt.Sprint(f[fieldExternal]))()
	return s.API.CreateMember(ctx, org, f)
}

func (s *spy) UpdateMember(ctx context.Context, org, id string, f stytch.Fields) (*stytch.Member, error) {
	defer s.enter(stepUpdateMember, id)()
	return s.API.UpdateMember(ctx, org, id, f)
}

func (s *spy) DeleteMember(ctx context.Context, org, id string) error {
	defer s.enter(stepDeleteMember, id)()
	return s.API.DeleteMember(ctx, org, id)
}

func (s *spy) MigratePassword(ctx context.Context, f stytch.Fields) (*stytch.Migrated, error) {
	if f[fieldExternal] != nil {
		defer s.enter(stepMigratePassword, fmt.Sprint(f["organization_id"], f[fieldExternal]))()
	}
	return s.API.MigratePassword(ctx, f)
}

func (s *spy) CreateOrganization(ctx context.Context, f stytch.Fields) (*stytch.Organization, error) {
	defer s.enter(stepCreateOrganization, fmt.Sprint(f[fieldOrgExt]))()
	return s.API.CreateOrganization(ctx, f)
}
