package stytch

import (
	"encoding/json"
	"errors"
	"net/http"
)

// addBehind serves Behind to other processes:
//
//	PUT    /_simulator/members/{member}                fields as the API's update takes them
//	DELETE /_simulator/members/{member}
//	PUT    /_simulator/members/{member}/password       {"password": "…"}: as the member sets it
//	PUT    /_simulator/organizations/{organization}    fields
//	DELETE /_simulator/organizations/{organization}
//
// Members are named by Stytch id, organizations by any id.
func addBehind(mux *http.ServeMux, b Behind) {
	mux.HandleFunc("PUT /_simulator/members/{member}", behindHandler(func(r *http.Request, f map[string]any) (any, error) {
		return b.UpdateMember(r.PathValue("member"), f)
	}))
	mux.HandleFunc("DELETE /_simulator/members/{member}", behindHandler(func(r *http.Request, _ map[string]any) (any, error) {
		return struct{}{}, b.DeleteMember(r.PathValue("member"))
	}))
	mux.HandleFunc("PUT /_simulator/members/{member}/password", behindHandler(func(r *http.Request, f map[string]any) (any, error) {
		password, _ := f["password"].(string)
		if password == "" {
			return nil, badRequest("password is missing.")
		}
		return struct{}{}, b.SetPassword(r.PathValue("member"), password)
	}))
	mux.HandleFunc("PUT /_simulator/organizations/{organization}", behindHandler(func(r *http.Request, f map[string]any) (any, error) {
		return b.UpdateOrganization(r.PathValue("organization"), f)
	}))
	mux.HandleFunc("DELETE /_simulator/organizations/{organization}", behindHandler(func(r *http.Request, _ map[string]any) (any, error) {
		return struct{}{}, b.DeleteOrganization(r.PathValue("organization"))
	}))
}

func behindHandler(act func(*http.Request, map[string]any) (any, error)) http.HandlerFunc {
	return func(w http.ResponseWriter, r *http.Request) {
		fields := map[string]any{}
		if r.Method != http.MethodDelete {
			decoder := json.NewDecoder(http.MaxBytesReader(w, r.Body, maxBody))
			decoder.UseNumber()
			if err := decoder.Decode(&fields); err != nil {
				controlError(w, http.StatusBadRequest, "the body is not a JSON object")
				return
			}
		}
		done, err := act(r, fields)
		if err == nil {
			answerJSON(w, http.StatusOK, done)
			return
		}
		var refused *refusal
		if errors.As(err, &refused) {
			controlError(w, refused.status, refused.Error())
			return
		}
		controlError(w, http.StatusBadRequest, err.Error())
	}
}
