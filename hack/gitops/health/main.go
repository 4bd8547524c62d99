// Command health says what Flux (kstatus) and Argo CD think of objects: a JSON document in, one out.
//
// In: {"scripts": {"GROUP/KIND": LUA}, "objects": [OBJECT, ...]}. Out, for each object:
// {"kstatus": STATUS, "argocd": STATUS} with the messages beside them; "argocd" is empty where Argo CD has no opinion,
// and then counts the object as healthy.
package main

import (
	"encoding/json"
	"fmt"
	"os"

	"github.com/argoproj/argo-cd/v3/pkg/apis/application/v1alpha1"
	"github.com/argoproj/argo-cd/v3/util/lua"
	"github.com/argoproj/gitops-engine/pkg/health"
	"github.com/fluxcd/cli-utils/pkg/kstatus/status"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
)

type request struct {
	Scripts map[string]string `json:"scripts"`
	Objects []json.RawMessage `json:"objects"`
}

type opinion struct {
	Kstatus        string `json:"kstatus"`
	KstatusMessage string `json:"kstatusMessage"`
	ArgoCD         string `json:"argocd"`
	ArgoCDMessage  string `json:"argocdMessage"`
}

func main() {
	if err := run(); err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
}

func run() error {
	var asked request
	if err := json.NewDecoder(os.Stdin).Decode(&asked); err != nil {
		return err
	}
	overrides := lua.ResourceHealthOverrides{}
	for kind, script := range asked.Scripts {
		overrides[kind] = v1alpha1.ResourceOverride{HealthLua: script}
	}
	opinions := []opinion{}
	for _, content := range asked.Objects {
		// Its own decoder: whole numbers have to stay whole.
		object := &unstructured.Unstructured{}
		if err := object.UnmarshalJSON(content); err != nil {
			return err
		}
		one, err := judge(object, overrides)
		if err != nil {
			return err
		}
		opinions = append(opinions, one)
	}
	return json.NewEncoder(os.Stdout).Encode(opinions)
}

func judge(object *unstructured.Unstructured, overrides health.HealthOverride) (opinion, error) {
	computed, err := status.Compute(object)
	if err != nil {
		return opinion{}, fmt.Errorf("kstatus: %w", err)
	}
	one := opinion{Kstatus: string(computed.Status), KstatusMessage: computed.Message}
	assessed, err := health.GetResourceHealth(object, overrides)
	if err != nil {
		return opinion{}, fmt.Errorf("Argo CD: %w", err)
	}
	if assessed != nil {
		one.ArgoCD, one.ArgoCDMessage = string(assessed.Status), assessed.Message
	}
	return one, nil
}
