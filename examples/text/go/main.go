// Not run here: gofmt 1.19 accepts it; the calls were compared with the package's documentation. Prints the labels of a text.
// A text file of mbert-onnx takes UTF-8 bytes, so onnxruntime is all that it needs.
// go run . libonnxruntime.so BUNDLE "A warm, funny and deeply moving film."
package main

import (
	"fmt"
	"log"
	"os"
	"strings"

	ort "github.com/yalue/onnxruntime_go"
)

func must[T any](value T, err error) T {
	if err != nil {
		log.Fatal(err)
	}
	return value
}

func main() {
	bundle, text := os.Args[2], []byte(os.Args[3])
	ort.SetSharedLibraryPath(os.Args[1])
	must(0, ort.InitializeEnvironment(ort.WithLogLevelError()))
	names := strings.Split(string(must(os.ReadFile(bundle+"/labels.txt"))), "\n")
	session := must(ort.NewDynamicAdvancedSession(bundle+"/onnx/model_text.onnx",
		[]string{"text", "max_length"}, []string{"labels", "scores"}, nil))

	bytes := must(ort.NewTensor(ort.NewShape(int64(len(text))), text))
	maxLength := must(ort.NewTensor(ort.NewShape(1), []int64{512}))
	found := []ort.Value{nil, nil} // Run makes the outputs
	must(0, session.Run([]ort.Value{bytes, maxLength}, found))
	labels, scores := found[0].(*ort.Tensor[int64]).GetData(), found[1].(*ort.Tensor[float32]).GetData()
	for i, label := range labels {
		fmt.Printf("%.4f %s\n", scores[i], names[label])
	}
}
