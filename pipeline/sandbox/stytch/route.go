package stytch

import (
	"net/http"
	"net/url"
	"slices"
	"strings"
)

// Endpoint names an operation: in the journal, in faults, in rate limits.
type Endpoint string

// The endpoints.
const (
	OrganizationsCreate           Endpoint = "organizations.create"
	OrganizationsGet              Endpoint = "organizations.get"
	OrganizationsUpdate           Endpoint = "organizations.update"
	OrganizationsDelete           Endpoint = "organizations.delete"
	OrganizationsSearch           Endpoint = "organizations.search"
	OrganizationsMetrics          Endpoint = "organizations.metrics"
	OrganizationsDeleteExternalID Endpoint = "organizations.delete_external_id"
	MembersCreate                 Endpoint = "members.create"
	MembersGet                    Endpoint = "members.get"
	MembersDangerouslyGet         Endpoint = "members.dangerously_get"
	MembersUpdate                 Endpoint = "members.update"
	MembersDelete                 Endpoint = "members.delete"
	MembersReactivate             Endpoint = "members.reactivate"
	MembersSearch                 Endpoint = "members.search"
	MembersDeletePassword         Endpoint = "members.delete_password"
	MembersDeletePhone            Endpoint = "members.delete_mfa_phone_number"
	MembersDeleteExternalID       Endpoint = "members.delete_external_id"
	MembersUnlinkRetiredEmail     Endpoint = "members.unlink_retired_email"
	PasswordsMigrate              Endpoint = "passwords.migrate"
	PasswordsAuthenticate         Endpoint = "passwords.authenticate"
	SessionsJWKS                  Endpoint = "sessions.jwks"
	RBACPolicy                    Endpoint = "rbac.policy"
	RBACOrganizationPolicy        Endpoint = "rbac.organization_policy"
)

func (e Endpoint) search() bool { return e == OrganizationsSearch || e == MembersSearch }

// writes says whether an endpoint may change what it is about. A member's creation
// that was refused is about no member, and counts for none.
func (e Endpoint) writes() bool {
	switch e {
	case MembersCreate, MembersUpdate, MembersDelete, MembersReactivate, MembersDeletePassword, MembersDeletePhone,
		MembersDeleteExternalID, MembersUnlinkRetiredEmail, PasswordsMigrate,
		OrganizationsCreate, OrganizationsUpdate, OrganizationsDelete, OrganizationsDeleteExternalID:
		return true
	default:
		return false
	}
}

// Call is an endpoint as Stytch's reference names it, method and path; "" for one that
// does not exist.
func (e Endpoint) Call() string {
	i := slices.IndexFunc(routes, func(r route) bool { return r.endpoint == e })
	if i < 0 {
		return ""
	}
	return routes[i].method + " /" + strings.Join(routes[i].segments, "/")
}

// Writes says whether an endpoint may change something.
func (e Endpoint) Writes() bool { return e.writes() }

func (e Endpoint) ofMember() bool {
	return strings.HasPrefix(string(e), "members.") || strings.HasPrefix(string(e), "passwords.")
}

type operation func(*Simulator, *call) (response, error)

type route struct {
	method   string
	segments []string // "{name}" takes any one segment
	endpoint Endpoint
	perform  operation
}

// routes is in order of preference: where two patterns fit, as with
// members/passwords/{id} and members/{member}/external_id, the first one wins.
var routes = []route{
	at("POST", "organizations", OrganizationsCreate, createOrganization),
	at("POST", "organizations/search", OrganizationsSearch, searchOrganizations),
	at("POST", "organizations/members/search", MembersSearch, searchMembers),
	at("GET", "organizations/members/dangerously_get/{member}", MembersDangerouslyGet, dangerouslyGetMember),
	at("GET", "organizations/{organization}", OrganizationsGet, getOrganization),
	at("PUT", "organizations/{organization}", OrganizationsUpdate, updateOrganization),
	at("DELETE", "organizations/{organization}", OrganizationsDelete, deleteOrganization),
	at("GET", "organizations/{organization}/metrics", OrganizationsMetrics, organizationMetrics),
	at("DELETE", "organizations/{organization}/external_id", OrganizationsDeleteExternalID, deleteOrganizationExternalID),
	at("POST", "organizations/{organization}/members", MembersCreate, createMember),
	at("GET", "organizations/{organization}/member", MembersGet, getMember),
	at("DELETE", "organizations/{organization}/members/passwords/{password}", MembersDeletePassword, deleteMemberPassword),
	at("DELETE", "organizations/{organization}/members/mfa_phone_numbers/{member}", MembersDeletePhone, deleteMemberPhone),
	at("PUT", "organizations/{organization}/members/{member}", MembersUpdate, updateMember),
	at("DELETE", "organizations/{organization}/members/{member}", MembersDelete, deleteMember),
	at("PUT", "organizations/{organization}/members/{member}/reactivate", MembersReactivate, reactivateMember),
	at("DELETE", "organizations/{organization}/members/{member}/external_id", MembersDeleteExternalID, deleteMemberExternalID),
	at("POST", "organizations/{organization}/members/{member}/unlink_retired_email", MembersUnlinkRetiredEmail, unlinkRetiredEmail),
	at("POST", "passwords/migrate", PasswordsMigrate, migratePassword),
	at("POST", "passwords/authenticate", PasswordsAuthenticate, authenticatePassword),
	at("GET", "sessions/jwks/{project}", SessionsJWKS, sessionsJWKS),
	at("GET", "rbac/policy", RBACPolicy, rbacPolicy),
	at("GET", "rbac/organizations/{organization}", RBACOrganizationPolicy, rbacOrganizationPolicy),
}

func at(method, pattern string, e Endpoint, perform operation) route {
	return route{method: method, segments: strings.Split("v1/b2b/"+pattern, "/"), endpoint: e, perform: perform}
}

// findRoute takes the path in its escaped form, so that an id may hold a slash.
func findRoute(method, escapedPath string) (*route, map[string]string, error) {
	segments := strings.Split(strings.Trim(escapedPath, "/"), "/")
	for i, s := range segments {
		plain, err := url.PathUnescape(s)
		if err != nil {
			return nil, nil, badRequest("The path is not escaped properly.")
		}
		segments[i] = plain
	}
	otherMethod := false
	for i := range routes {
		path, ok := routes[i].match(segments)
		switch {
		case !ok:
		case routes[i].method == method:
			return &routes[i], path, nil
		default:
			otherMethod = true
		}
	}
	if otherMethod {
		return nil, nil, &refusal{http.StatusMethodNotAllowed, "method_not_allowed", "The route does not support this method."}
	}
	return nil, nil, missing("route_not_found", "The route was not found.")
}

func (r *route) match(segments []string) (map[string]string, bool) {
	if len(segments) != len(r.segments) || slices.Contains(segments, "") {
		return nil, false
	}
	for i, want := range r.segments {
		if want != segments[i] && want[0] != '{' {
			return nil, false
		}
	}
	path := map[string]string{}
	for i, want := range r.segments {
		if want[0] == '{' {
			path[strings.Trim(want, "{}")] = segments[i]
		}
	}
	return path, true
}
