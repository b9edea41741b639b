// Opens a model with mbert's native kernels, from where NuGet and `dotnet publish` put a project's native libraries.
using System;
using System.IO;
using System.Runtime.InteropServices;
using Microsoft.ML.OnnxRuntime;

public static class MbertKernels
{
    public static InferenceSession Open(string model)
    {
        using var options = new SessionOptions();
        options.RegisterCustomOpLibrary(Library());
        return new InferenceSession(model, options);
    }

    public static string Library()
    {
        var (system, name) = OperatingSystem.IsWindows() ? ("win", "mbert_kernels.dll")
            : OperatingSystem.IsMacOS() ? ("osx", "libmbert_kernels.dylib") : ("linux", "libmbert_kernels.so");
        var processor = RuntimeInformation.ProcessArchitecture.ToString().ToLowerInvariant();
        var beside = Path.Combine(AppContext.BaseDirectory, name);
        return File.Exists(beside) ? beside
            : Path.Combine(AppContext.BaseDirectory, "runtimes", $"{system}-{processor}", "native", name);
    }
}
