package apply

import (
	"errors"
	"strings"

	"github.com/backstitch/backstitch/consumers"
	"github.com/backstitch/backstitch/consumers/stytch"
)

// outcome is what a call's answer means. It is a metric label: a closed list.
type outcome string

const (
	outcomeOK        outcome = "ok"
	outcomeThrottled outcome = "throttled"     // 429: not done, always tried again (hazard A16)
	outcomeUnsent    outcome = "not_sent"      // provably nothing left: tried again
	outcomeUnknown   outcome = "unknown"       // may have had its effect: settles, then is read back
	outcomeMissing   outcome = "missing"       // the object is not there
	outcomeNoParent  outcome = "no_parent"     // the organization is not there
	outcomeDuplicate outcome = "duplicate"     // somebody has a value that is unique
	outcomePassword  outcome = "has_password"  // the member has a password already
	outcomeRefused   outcome = "refused"       // permanent: parked with its reason
	outcomeStop      outcome = "configuration" // no call can succeed: the connector fails
)

var outcomes = []outcome{
	outcomeOK, outcomeThrottled, outcomeUnsent, outcomeUnknown, outcomeMissing, outcomeNoParent,
	outcomeDuplicate, outcomePassword, outcomeRefused, outcomeStop,
}

// meaning is an outcome with, if refused, the reason to park for.
type meaning struct {
	outcome outcome
	reason  consumers.Reason
}

// byType says what Stytch's error types mean (error list of the B2B API). The type
// decides before the status: duplicates are 400, some "not found" are too.
var byType = map[string]meaning{
	"too_many_requests":       {outcome: outcomeThrottled},
	"user_lock_limit_reached": {outcome: outcomeThrottled},

	"internal_server_error":       {outcome: outcomeUnknown},
	"server_unavailable":          {outcome: outcomeUnknown},
	"search_timeout":              {outcome: outcomeUnknown},
	"client_closed_request":       {outcome: outcomeUnknown},
	"password_validation_timeout": {outcome: outcomeUnknown},

	"unauthorized_credentials":            {outcome: outcomeStop},
	"invalid_authorization_header":        {outcome: outcomeStop},
	"invalid_project_id_authentication":   {outcome: outcomeStop},
	"invalid_secret_authentication":       {outcome: outcomeStop},
	"live_id_used_in_test_environment":    {outcome: outcomeStop},
	"test_id_used_in_live_environment":    {outcome: outcomeStop},
	"unauthorized_project_id_live":        {outcome: outcomeStop},
	"unauthorized_project_id_test":        {outcome: outcomeStop},
	"invalid_b2b_endpoint":                {outcome: outcomeStop},
	"invalid_consumer_endpoint":           {outcome: outcomeStop},
	"route_not_found":                     {outcome: outcomeStop},
	"method_not_allowed":                  {outcome: outcomeStop},
	"session_authorization_error":         {outcome: outcomeStop},
	"session_authorization_tenancy_error": {outcome: outcomeStop},

	"organization_not_found":                {outcome: outcomeNoParent},
	"member_not_found":                      {outcome: outcomeMissing},
	"member_does_not_exist_in_organization": {outcome: outcomeMissing},
	"email_not_found":                       {outcome: outcomeMissing},
	"member_password_not_found":             {outcome: outcomeMissing},
	"password_already_exists":               {outcome: outcomePassword},

	"duplicate_member_email":                {outcome: outcomeDuplicate},
	"duplicate_member_external_id":          {outcome: outcomeDuplicate},
	"duplicate_organization":                {outcome: outcomeDuplicate},
	"organization_slug_already_used":        {outcome: outcomeDuplicate},
	"organization_external_id_already_used": {outcome: outcomeDuplicate},
	"duplicate_member_phone_number":         {outcomeRefused, consumers.ReasonForeignObject},

	"cross_org_passwords_enabled": {outcomeRefused, consumers.ReasonRefused}, // of a password's deletion: a named loss

	"retired_member_email":                          {outcomeRefused, consumers.ReasonRetiredEmail},
	"desired_email_deactivated_by_different_member": {outcomeRefused, consumers.ReasonRetiredEmail},
	"desired_email_updating_for_different_member":   {outcomeRefused, consumers.ReasonRetiredEmail},
	"invalid_email":                                 {outcomeRefused, consumers.ReasonInvalidEmail},
	"inactive_email":                                {outcomeRefused, consumers.ReasonInvalidEmail},
	"action_not_allowed_email_domain_is_claimed":    {outcomeRefused, consumers.ReasonDomainClaimed},
	"invalid_organization_slug":                     {outcomeRefused, consumers.ReasonInvalidSlug},
	"invalid_organization_name":                     {outcomeRefused, consumers.ReasonInvalidName},
	"organization_name_missing":                     {outcomeRefused, consumers.ReasonInvalidName},
	"organization_name_includes_banned_words":       {outcomeRefused, consumers.ReasonInvalidName},
	"forbidden_character_zero_width_space":          {outcomeRefused, consumers.ReasonInvalidName},
	"invalid_phone_number":                          {outcomeRefused, consumers.ReasonInvalidPhone},
	"invalid_phone_number_country_code":             {outcomeRefused, consumers.ReasonInvalidPhone},
	"duplicate_member_phone_number_for_member":      {outcomeRefused, consumers.ReasonForeignChange},
	"invalid_role":                                  {outcomeRefused, consumers.ReasonInvalidRole},
	"invalid_rbac_role_id":                          {outcomeRefused, consumers.ReasonInvalidRole},
	"invalid_rbac_role_assignment":                  {outcomeRefused, consumers.ReasonInvalidRole},
	"cannot_assign_default_rbac_role_id":            {outcomeRefused, consumers.ReasonInvalidRole},
	"too_many_roles":                                {outcomeRefused, consumers.ReasonInvalidRole},
	"metadata_too_large":                            {outcomeRefused, consumers.ReasonInvalidMetadata},
	"metadata_too_many_keys":                        {outcomeRefused, consumers.ReasonInvalidMetadata},
	"metadata_invalid_format":                       {outcomeRefused, consumers.ReasonInvalidMetadata},
	"bad_request":                                   {outcomeRefused, consumers.ReasonInvalidField},
	"invalid_argument":                              {outcomeRefused, consumers.ReasonInvalidField},
	"invalid_url":                                   {outcomeRefused, consumers.ReasonInvalidField},
	"organization_logo_url_too_long":                {outcomeRefused, consumers.ReasonInvalidField},
}

// classify says what the error of a call means. nil is success.
func classify(err error) meaning {
	if err == nil {
		return meaning{outcome: outcomeOK}
	}
	if !stytch.MaybeSent(err) {
		return meaning{outcome: outcomeUnsent}
	}
	var e *stytch.Error
	if !errors.As(err, &e) {
		return meaning{outcome: outcomeUnknown} // no answer, or one that is not Stytch's
	}
	if m, ok := byType[e.Type]; ok {
		return m
	}
	switch {
	case e.Status == 429:
		return meaning{outcome: outcomeThrottled}
	case e.Status >= 500 || e.Status == 408:
		return meaning{outcome: outcomeUnknown}
	case e.Status == 401 || e.Status == 403:
		return meaning{outcome: outcomeStop}
	case strings.HasPrefix(e.Type, "invalid_"):
		return meaning{outcomeRefused, consumers.ReasonInvalidField}
	}
	return meaning{outcomeRefused, consumers.ReasonRefused}
}
