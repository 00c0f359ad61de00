/** BasicSR's stages in PyTorch, for the rows of the degradations: its filters of 21 pixels, noise of each image, DiffJPEG as products. */
export const TORCH_DEGRADATION = `
import math

torch.manual_seed(0)

def filter2d(x, kernel):
    b, c, h, w = x.shape
    k = kernel.shape[-1]
    x = F.pad(x, (k // 2,) * 4, mode="reflect")
    if len(kernel) == 1:
        return F.conv2d(x.view(b * c, 1, h + k - 1, w + k - 1), kernel[None]).view(b, c, h, w)
    weight = kernel[:, None].repeat(1, c, 1, 1).view(b * c, 1, k, k)
    return F.conv2d(x.view(1, b * c, h + k - 1, w + k - 1), weight, groups=b * c).view(b, c, h, w)

def levels(x):
    return (x * 255).round().clamp(0, 255) / 255

def poisson(x):
    x = levels(x)
    counts = [2 ** math.ceil(math.log2(len(image.unique()))) for image in x]
    vals = torch.tensor(counts, dtype=torch.float32).view(-1, 1, 1, 1)
    return torch.poisson(x * vals) / vals - x

def noise(x, rows):
    out = x.clone()
    for gaussian in (0, 1):
        which = [i for i, row in enumerate(rows) if row[0] == gaussian]
        if not which:
            continue
        part = x[which]
        level, gray = torch.tensor([rows[i][1:] for i in which])[:, :, None, None, None].unbind(1)
        if gaussian:
            field, flat = torch.randn_like(part) / 255, torch.randn(part.shape[2:]) / 255
        else:
            luma = (part * torch.tensor([0.2989, 0.587, 0.114]).view(1, 3, 1, 1)).sum(1, keepdim=True)
            field, flat = poisson(part), poisson(luma) if gray.any() else 0
        out[which] = part + (field * (1 - gray) + flat * gray) * level
    return out.clamp(0, 1)

luma_table = torch.tensor([
    [16, 11, 10, 16, 24, 40, 51, 61], [12, 12, 14, 19, 26, 58, 60, 55], [14, 13, 16, 24, 40, 57, 69, 56],
    [14, 17, 22, 29, 51, 87, 80, 62], [18, 22, 37, 56, 68, 109, 103, 77], [24, 35, 55, 64, 81, 104, 113, 92],
    [49, 64, 78, 87, 103, 121, 120, 101], [72, 92, 95, 98, 112, 100, 103, 99]], dtype=torch.float32).T.reshape(64)
chroma_table = torch.full((8, 8), 99.0)
chroma_table[:4, :4] = torch.tensor([[17, 18, 24, 47], [18, 21, 26, 66], [24, 26, 56, 99], [47, 66, 99, 99]], dtype=torch.float32)
chroma_table = chroma_table.reshape(64)
line = torch.arange(8, dtype=torch.float32)
wave = torch.cos((2 * line[:, None] + 1) * line[None] * math.pi / 16) * torch.tensor([0.5 ** 0.5] + [1.0] * 7) * 0.5
transform = torch.einsum("xu,yv->xyuv", wave, wave).reshape(64, 64)
to_ycbcr = torch.tensor([[0.299, 0.587, 0.114], [-0.168736, -0.331264, 0.5], [0.5, -0.418688, -0.081312]])
to_rgb = torch.tensor([[1, 0, 1.402], [1, -0.344136, -0.714136], [1, 1.772, 0]])

def quantize(plane, steps):
    b, c, h, w = plane.shape
    blocks = plane.view(b, c, h // 8, 8, w // 8, 8).permute(0, 1, 2, 4, 3, 5).reshape(b, -1, 64)
    blocks = (blocks @ transform / steps).round() * steps @ transform.T
    return blocks.view(b, c, h // 8, w // 8, 8, 8).permute(0, 1, 2, 4, 3, 5).reshape(b, c, h, w)

def jpeg(x, quality):
    b, _, h, w = x.shape
    factor = torch.tensor([50 / q if q < 50 else 2 - q / 50 for q in quality]).view(b, 1, 1)
    x = F.pad(x, (0, -w % 16, 0, -h % 16))
    ycbcr = F.conv2d(x * 255, to_ycbcr.view(3, 3, 1, 1))
    luma = quantize(ycbcr[:, :1] - 128, luma_table * factor) + 128
    chroma = quantize(F.avg_pool2d(ycbcr[:, 1:], 2), chroma_table * factor)
    ycbcr = torch.cat([luma, F.interpolate(chroma, scale_factor=2, mode="nearest")], 1)
    return (F.conv2d(ycbcr, to_rgb.view(3, 3, 1, 1)) / 255).clamp(0, 1)[:, :, :h, :w]
`;
