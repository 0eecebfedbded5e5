package stytch

import (
	"fmt"
	"maps"
	"strings"
	"testing"

	"pgregory.net/rapid"
)

// Whatever callers do, in whatever order, the indexes say what a scan of the objects
// says, and no two members share what must be unique.
func TestIndexesMatchObjects(t *testing.T) {
	t.Parallel()
	rapid.Check(t, func(t *rapid.T) {
		keep := rapid.Bool().Draw(t, "keep")
		sim := New(Options{
			ProjectID: testProject, Secret: testSecret, Roles: []string{"editor"}, JournalSize: 1, ClaimedDomains: true,
			KeepExternalIDOnDelete: keep, KeepPasswordOnDelete: keep, KeepSlugOnDelete: keep, KeepOrganizationExternalIDOnDelete: keep,
		})
		var organizations, members []string
		pick := func(name string, from []string) string {
			if len(from) == 0 {
				return "none"
			}
			return rapid.SampledFrom(from).Draw(t, name)
		}
		do := func(perform operation, path map[string]string, f fields) response {
			// Refusals are part of the game; what matters is the state after them.
			res, _ := sim.Behind().do(perform, path, f)
			return res
		}
		for range rapid.IntRange(1, 60).Draw(t, "steps") {
			f := randomFields(t)
			org, member := pick("organization", organizations), pick("member", members)
			path := map[string]string{"organization": org, "member": member}
			if m := sim.mu.members[member]; m != nil {
				path["organization"], path["password"] = m.view.OrganizationID, m.view.MemberPasswordID
			}
			switch rapid.SampledFrom([]string{"org", "org+", "org-", "orgext", "new", "migrate", "update", "delete", "back", "unlink", "phone", "ext", "password"}).Draw(t, "act") {
			case "org":
				f["organization_name"] = "x"
				if res := do(createOrganization, nil, f); res != nil {
					organizations = append(organizations, res["organization"].(Organization).OrganizationID)
				}
			case "org+":
				do(updateOrganization, map[string]string{"organization": org}, f)
			case "org-":
				do(deleteOrganization, map[string]string{"organization": org}, nil)
			case "orgext":
				do(deleteOrganizationExternalID, map[string]string{"organization": org}, nil)
			case "new":
				if res := do(createMember, map[string]string{"organization": org}, f); res != nil {
					members = append(members, res["member_id"].(string))
				}
			case "migrate":
				f["organization_id"], f["hash"], f["hash_type"] = org, horseHash, "bcrypt"
				if res := do(migratePassword, nil, f); res != nil && res["member_created"] == true {
					members = append(members, res["member_id"].(string))
				}
			case "update":
				do(updateMember, path, f)
			case "delete":
				do(deleteMember, path, nil)
			case "back":
				do(reactivateMember, path, nil)
			case "unlink":
				do(unlinkRetiredEmail, path, f)
			case "phone":
				do(deleteMemberPhone, path, nil)
			case "ext":
				do(deleteMemberExternalID, path, nil)
			case "password":
				do(deleteMemberPassword, path, nil)
			}
			checkIndexes(t, sim, keep)
		}
	})
}

// randomFields draws from few values, so that they collide.
func randomFields(t *rapid.T) fields {
	f := fields{}
	number := func(name string) int { return rapid.IntRange(0, 3).Draw(t, name) }
	maybe := func(name string) bool { return rapid.Bool().Draw(t, "has "+name) }
	f["email_address"] = fmt.Sprintf("m%d@d%d.example", number("address"), number("domain")/2)
	if maybe("external id") {
		f["external_id"] = fmt.Sprint("usr_", number("external id"))
		f["organization_external_id"] = fmt.Sprint("ten_", number("organization's external id"))
	}
	if maybe("phone") {
		f["mfa_phone_number"] = fmt.Sprint("+1500555000", number("phone"))
	}
	if maybe("slug") {
		f["organization_slug"] = fmt.Sprint("slug", number("slug"))
	}
	if maybe("claim") {
		f["email_invites"], f["claimed_email_domains"] = "ALL_ALLOWED", []string{fmt.Sprintf("d%d.example", number("claim")/2)}
	}
	f["unlink_email"] = maybe("unlink")
	return f
}

func checkIndexes(t *rapid.T, sim *Simulator, keep bool) {
	s := sim.mu.store
	bySlug, byExternalID, claimed := map[string]*organization{}, map[string]*organization{}, map[string]*organization{}
	byPassword := map[string]*member{}
	for _, o := range s.organizations {
		if !o.deleted || keep {
			claim(t, bySlug, strings.ToLower(o.view.OrganizationSlug), o)
			claim(t, byExternalID, o.view.OrganizationExternalID, o)
		}
		if !o.deleted {
			for _, d := range o.view.ClaimedEmailDomains {
				claim(t, claimed, d, o)
			}
		}
		checkMembers(t, o, byPassword, keep)
	}
	if !maps.Equal(bySlug, s.bySlug) || !maps.Equal(byExternalID, s.byExternalID) || !maps.Equal(claimed, s.claimed) || !maps.Equal(byPassword, s.byPassword) {
		t.Fatal("an index of the project differs from its objects")
	}
}

func checkMembers(t *rapid.T, o *organization, byPassword map[string]*member, keep bool) {
	byEmail, byExternalID, byPhone := map[string]*member{}, map[string]*member{}, map[string]*member{}
	live := 0
	for _, m := range o.members {
		if m.password != nil {
			claim(t, byPassword, m.password.ID, m)
		}
		if m.view.Status != StatusDeleted || keep {
			claim(t, byExternalID, m.view.ExternalID, m)
		}
		if m.view.Status == StatusDeleted {
			continue
		}
		if o.deleted {
			t.Fatal("a deleted organization has a live member")
		}
		live++
		claim(t, byEmail, m.view.EmailAddress, m)
		for _, r := range m.view.RetiredEmailAddresses {
			claim(t, byEmail, r.EmailAddress, m)
		}
		claim(t, byPhone, m.view.MFAPhoneNumber, m)
	}
	if !maps.Equal(byEmail, o.byEmail) || !maps.Equal(byExternalID, o.byExternalID) || !maps.Equal(byPhone, o.byPhone) || live != o.live {
		t.Fatal("an index of an organization differs from its members")
	}
}

// claim enters a value that must be unique.
func claim[T any](t *rapid.T, index map[string]*T, key string, holder *T) {
	if key == "" {
		return
	}
	if index[key] != nil {
		t.Fatalf("two objects hold %q", key)
	}
	index[key] = holder
}
