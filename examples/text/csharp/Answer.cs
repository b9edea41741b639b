// Not run by the tests: run once, as README.md says. Prints the best answers to a question.
// A text file of mbert-onnx takes UTF-8 bytes, so onnxruntime is all that it needs.
// dotnet run BUNDLE "Who wrote it?" "It was written by Ada in 1843."

using System;
using System.Collections.Generic;
using System.Text;
using Microsoft.ML.OnnxRuntime;

static class Answer
{
    static void Main(string[] args)
    {
        byte[] question = Encoding.UTF8.GetBytes(args[1]), context = Encoding.UTF8.GetBytes(args[2]);
        using (var options = new SessionOptions { LogSeverityLevel = OrtLoggingLevel.ORT_LOGGING_LEVEL_ERROR })
        using (var session = new InferenceSession(args[0] + "/onnx/model_text.onnx", options))
        using (var run = new RunOptions())
        using (var text = OrtValue.CreateTensorValueFromMemory(question, new long[] { question.Length }))
        using (var contextValue = OrtValue.CreateTensorValueFromMemory(context, new long[] { context.Length }))
        using (var maxLength = OrtValue.CreateTensorValueFromMemory(new long[] { 384 }, new long[] { 1 }))
        {
            var inputs = new Dictionary<string, OrtValue>
            {
                { "text", text }, { "context", contextValue }, { "max_length", maxLength },
            };
            using (var found = session.Run(run, inputs, new[] { "spans", "scores" }))
            {
                var spans = found[0].GetTensorDataAsSpan<long>(); // bytes of the context, not characters
                var scores = found[1].GetTensorDataAsSpan<float>();
                for (int i = 0; i < scores.Length && scores[i] >= 0; i++) // -1 behind the last answer
                {
                    int start = (int)spans[2 * i], end = (int)spans[2 * i + 1];
                    Console.WriteLine("{0:F4} {1}", scores[i], Encoding.UTF8.GetString(context, start, end - start));
                }
            }
        }
    }
}
